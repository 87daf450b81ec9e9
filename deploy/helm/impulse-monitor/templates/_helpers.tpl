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

{{/* The label that tells a fleet's pods apart, of a ROLE; nothing for the one process and for shards. */}}
{{- define "impulse-monitor.component" -}}
{{- with . }}app.kubernetes.io/component: {{ . }}{{ end }}
{{- end }}

{{/* Not empty where workers and web replicas share the turns. */}}
{{- define "impulse-monitor.fleet" -}}
{{- $workers := int .Values.workers.replicas }}
{{- $web := int .Values.web.replicas }}
{{- if or $workers $web }}
{{- if ne .Values.store.type "postgresql" }}{{ fail "workers.replicas, web.replicas: a fleet shares its turns through PostgreSQL; set store.type postgresql, or leave them out" }}{{ end }}
{{- if not $workers }}{{ fail "workers.replicas: web replicas alone pull nothing; set it to 1 or more, too" }}{{ end }}
{{- if not $web }}{{ fail "web.replicas: workers alone have no pages and no models' metrics; set it to 1 or more, too" }}{{ end }}
{{- if gt (int .Values.shards) 1 }}{{ fail "shards: a fleet divides the targets by itself; leave it out, or workers.replicas and web.replicas" }}{{ end -}}
fleet
{{- end }}
{{- end }}

{{/* The roles of the processes: one that does everything, or those of a fleet. */}}
{{- define "impulse-monitor.roles" -}}
{{- if include "impulse-monitor.fleet" . }}{{ toJson (list "worker" "web") }}{{ else }}{{ toJson (list "") }}{{ end }}
{{- end }}

{{/* The values of a role's pods alone, of (list ROOT ROLE). */}}
{{- define "impulse-monitor.replicated" -}}
{{- $values := (index . 0).Values }}
{{- toYaml (get (dict "worker" $values.workers "web" $values.web) (index . 1) | default dict) }}
{{- end }}

{{/* The name of what is there once for each role, of (list ROOT ROLE). */}}
{{- define "impulse-monitor.roleName" -}}
{{- include "impulse-monitor.fullname" (index . 0) }}{{ with index . 1 }}-{{ . }}{{ end }}
{{- end }}

{{/* What selects a role's pods, of (list ROOT ROLE). */}}
{{- define "impulse-monitor.roleSelector" -}}
{{- include "impulse-monitor.selectorLabels" (index . 0) }}
{{- with include "impulse-monitor.component" (index . 1) }}{{ nindent 0 . }}{{ end }}
{{- end }}

{{- define "impulse-monitor.labels" -}}
{{ include "impulse-monitor.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* All labels of an object or pod, of (list ROOT LABELS): no key twice, and no selector can be broken by a label that someone adds. */}}
{{- define "impulse-monitor.allLabels" -}}
{{- $root := index . 0 }}
{{- toYaml (mergeOverwrite (dict) $root.Values.commonLabels (index . 1) (include "impulse-monitor.labels" $root | fromYaml)) }}
{{- end }}

{{/* Labels and annotations of an object, of (list ROOT LABELS ANNOTATIONS). */}}
{{- define "impulse-monitor.metadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "impulse-monitor.allLabels" (list $root (index . 1)) | nindent 2 }}
{{- with mergeOverwrite (dict) $root.Values.commonAnnotations (index . 2) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "impulse-monitor.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "impulse-monitor.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "impulse-monitor.image" -}}
{{- with default .Values.image.registry .Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end }}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{/* As a list of objects: the global ones may be written as names. */}}
{{- define "impulse-monitor.imagePullSecrets" -}}
{{- $secrets := list }}
{{- range concat (default list .Values.global.imagePullSecrets) .Values.imagePullSecrets }}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) }}
{{- end }}
{{- with uniq $secrets }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* The configuration file: what the operator wrote, and what only the chart can know. */}}
{{- define "impulse-monitor.config" -}}
{{- $http := default dict .Values.config.http }}
{{- if hasKey .Values.config "store" }}{{ fail "config.store: the chart writes it; set store.type instead" }}{{ end }}
{{- if hasKey .Values.config "shutdown_grace" }}{{ fail "config.shutdown_grace: the chart writes it; set shutdownGraceSeconds instead" }}{{ end }}
{{- if hasKey $http "listen" }}{{ fail "config.http.listen: the chart writes it, the service listens on port 9890; leave it out" }}{{ end }}
{{- if hasKey $http "health_listen" }}{{ fail "config.http.health_listen: the chart writes it where webConfig.secret is set; leave it out" }}{{ end }}
{{- if hasKey $http "web_config_file" }}{{ fail "config.http.web_config_file: the chart passes it; set webConfig.secret instead" }}{{ end }}
{{- $store := "sqlite:////var/lib/impulse-monitor/impulse-monitor.db" }}
{{- if eq .Values.store.type "postgresql" }}{{ $store = "${IMPULSE_MONITOR_STORE}" }}{{ end }}
{{- $listen := dict "listen" ":9890" }}
{{- if .Values.webConfig.secret }}{{ $_ := set $listen "health_listen" ":9891" }}{{ end }}
{{- if and .Values.ingress.enabled (not $http.external_url) }}{{ $_ := set $listen "external_url" (include "impulse-monitor.ingressURL" .) }}{{ end }}
{{- $own := dict "http" $listen "store" $store "shutdown_grace" (printf "%ds" (int .Values.shutdownGraceSeconds)) }}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) }}
{{- end }}

{{/* What the service takes over only at its start; a change of it must restart the pods. */}}
{{- define "impulse-monitor.restartFor" -}}
{{- $config := include "impulse-monitor.config" . | fromYaml }}
{{- pick $config "http" "limits" "store" "shutdown_grace" | toYaml | sha256sum }}
{{- end }}

{{/* The name of the volume that the store is a file on; empty for none. */}}
{{- define "impulse-monitor.storeVolume" -}}
{{- if eq .Values.store.type "sqlite" }}{{ .Values.store.sqlite.volume }}{{ end }}
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

{{- define "impulse-monitor.ingressURL" -}}
{{ if .Values.ingress.tls }}https{{ else }}http{{ end }}://{{ required "ingress.hosts: name the host under which the service is to be reached" (first .Values.ingress.hosts) }}
{{- end }}

{{/* A probe, of (list ROOT NAME PATH); nothing where it is switched off. */}}
{{- define "impulse-monitor.probe" -}}
{{- $root := index . 0 }}
{{- $name := index . 1 }}
{{- with get $root.Values $name }}
{{- if .enabled }}
{{- $probe := omit (deepCopy .) "enabled" }}
{{- if not (or (hasKey . "httpGet") (hasKey . "exec") (hasKey . "tcpSocket") (hasKey . "grpc")) }}
{{- $_ := set $probe "httpGet" (dict "path" (index $ 2) "port" ($root.Values.webConfig.secret | empty | ternary "http" "health")) }}
{{- end }}
{{ $name }}:
  {{- toYaml $probe | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* The role whose pods have the pages: none where one process does everything. */}}
{{- define "impulse-monitor.webRole" -}}
{{- if include "impulse-monitor.fleet" . }}web{{ end }}
{{- end }}

{{/* How Prometheus is let in, for the operator's objects. */}}
{{- define "impulse-monitor.scrapeAccess" -}}
{{- with .Values.serviceMonitor.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.webConfig.basicAuth }}
{{- if .secret }}
basicAuth:
  username:
    name: {{ .secret }}
    key: {{ .usernameKey }}
  password:
    name: {{ .secret }}
    key: {{ .passwordKey }}
{{- end }}
{{- end }}
{{- end }}

{{/* Without the keys that are null or "": Helm drops the nulls in a parent chart's values.yaml, and what was to be left out would come back. */}}
{{- define "impulse-monitor.given" -}}
{{- $given := dict }}
{{- range $key, $value := . }}{{ if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}{{ $_ := set $given $key $value }}{{ end }}{{ end }}
{{- with $given }}{{ toYaml . }}{{ end }}
{{- end }}
