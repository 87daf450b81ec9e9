{{- define "impulse-monitor.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "impulse-monitor.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "impulse-monitor.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "impulse-monitor.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "impulse-monitor.selectorLabels" -}}
app.kubernetes.io/name: {{ include "impulse-monitor.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "impulse-monitor.labels" -}}
{{ include "impulse-monitor.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "impulse-monitor.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "impulse-monitor.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "impulse-monitor.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{/* The configuration file: what the operator wrote, and what only the chart can know. */}}
{{- define "impulse-monitor.config" -}}
{{- $http := default dict .Values.config.http }}
{{- if hasKey .Values.config "store" }}{{ fail "config.store: the chart writes it; set store.type instead" }}{{ end }}
{{- if hasKey .Values.config "shutdown_grace" }}{{ fail "config.shutdown_grace: the chart writes it; set shutdownGraceSeconds instead" }}{{ end }}
{{- if hasKey $http "listen" }}{{ fail "config.http.listen: the chart writes it, the service listens on port 9890; leave it out" }}{{ end }}
{{- if hasKey $http "web_config_file" }}{{ fail "config.http.web_config_file: the chart passes it; set webConfig.secret instead" }}{{ end }}
{{- $store := "sqlite:////var/lib/impulse-monitor/impulse-monitor.db" }}
{{- if eq .Values.store.type "postgresql" }}{{ $store = "${IMPULSE_MONITOR_STORE}" }}{{ end }}
{{- $own := dict "http" (dict "listen" ":9890") "store" $store "shutdown_grace" (printf "%ds" (int .Values.shutdownGraceSeconds)) }}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) }}
{{- end }}

{{/* What the service takes over only at its start; a change of it must restart the pods. */}}
{{- define "impulse-monitor.restartFor" -}}
{{- $config := include "impulse-monitor.config" . | fromYaml }}
{{- pick $config "http" "limits" "store" "shutdown_grace" | toYaml | sha256sum }}
{{- end }}

{{/* Whether the store is a file on a volume. */}}
{{- define "impulse-monitor.onVolume" -}}
{{- if eq .Values.store.type "sqlite" }}yes{{ end }}
{{- end }}

{{- define "impulse-monitor.claim" -}}
accessModes: {{ toYaml .Values.store.sqlite.accessModes | nindent 2 }}
{{- with .Values.store.sqlite.storageClassName }}
storageClassName: {{ . | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .Values.store.sqlite.size }}
{{- end }}

{{- define "impulse-monitor.probe" -}}
{{- $root := index . 0 }}
{{- if $root.Values.webConfig.basicAuth.secret -}}
{{/* The kubelet has no password. Any answer, 401 too, comes from a living event loop. */ -}}
exec:
  command:
    - python
    - -Ic
    - >-
      import http.client as c, ssl, sys;
      h = {{ if eq $root.Values.webConfig.scheme "HTTPS" }}c.HTTPSConnection("127.0.0.1", 9890, timeout=4, context=ssl._create_unverified_context()){{ else }}c.HTTPConnection("127.0.0.1", 9890, timeout=4){{ end }};
      h.request("GET", "{{ index . 1 }}");
      sys.exit(h.getresponse().status not in (200, 401))
{{- else -}}
httpGet:
  path: {{ index . 1 }}
  port: http
  scheme: {{ $root.Values.webConfig.scheme }}
{{- end }}
timeoutSeconds: 5
{{- end }}
