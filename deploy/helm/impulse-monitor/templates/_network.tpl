{{/* The addresses in the configuration that a rule of the network policy is about, of (list ROOT RULE); empty ones are not known here. */}}
{{- define "impulse-monitor.addresses" -}}
{{- $root := index . 0 }}
{{- $rule := index . 1 }}
{{- $config := $root.Values.config }}
{{- $found := list }}
{{- if eq $rule "studio" }}
{{- $found = append $found (default "https://studio.edgeimpulse.com/v1" (default dict $config.studio).url) }}
{{- else if eq $rule "proxy" }}
{{- with (default dict $config.studio).proxy }}{{ $found = append $found . }}{{ end }}
{{- range $root.Values.env }}
{{- if has (upper .name) (list "HTTPS_PROXY" "HTTP_PROXY") }}{{ $found = append $found (default "" .value) }}{{ end }}
{{- end }}
{{- else }}
{{- range $config.notify }}
{{- if hasKey . $rule }}{{ $found = append $found (default "" (get . $rule).url) }}{{ end }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* A rule of the network policy, of (list ROOT RULE); nothing where it is switched off or has no ports. */}}
{{- define "impulse-monitor.egressRule" -}}
{{- $root := index . 0 }}
{{- $name := index . 1 }}
{{- $rule := get $root.Values.networkPolicy $name }}
{{- $ports := list }}
{{- if and $rule.enabled (or (ne $name "postgresql") (eq $root.Values.store.type "postgresql")) }}
{{- range $rule.ports }}{{ $ports = append $ports (int .) }}{{ end }}
{{- if and (not $ports) (not (has $name (list "dns" "postgresql"))) }}
{{- range include "impulse-monitor.addresses" . | fromJsonArray }}
{{- if or (not .) (contains "${" .) }}{{ fail (printf "networkPolicy.%s.ports: an address is not in the values themselves; list its port, or set networkPolicy.%s.enabled to false" $name $name) }}{{ end }}
{{- $url := urlParse . }}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) }}
{{- $ports = append $ports (int (default (eq $url.scheme "https" | ternary "443" "80") $port)) }}
{{- end }}
{{- end }}
{{- end }}
{{- with uniq $ports }}
- ports:
    {{- range . }}
    {{- if eq $name "dns" }}
    - port: {{ . }}
      protocol: UDP
    {{- end }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with $rule.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
