{{/* The pod, of (list ROOT ROLE): the same for the one process, the shards and, with a role, those of a fleet. */}}
{{- define "impulse-monitor.pod" -}}
{{- $role := index . 1 }}
{{- with index . 0 -}}
metadata:
  labels:
    {{- include "impulse-monitor.allLabels" (list . (merge (include "impulse-monitor.component" $role | fromYaml) .Values.podLabels)) | nindent 4 }}
  annotations:
    checksum/restart: {{ include "impulse-monitor.restartFor" . }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "impulse-monitor.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with include "impulse-monitor.imagePullSecrets" . }}
  imagePullSecrets:
    {{- nindent 4 . }}
  {{- end }}
  {{- with include "impulse-monitor.given" .Values.podSecurityContext }}
  securityContext:
    {{- nindent 4 . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ add .Values.shutdownGraceSeconds 20 }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: impulse-monitor
      image: {{ include "impulse-monitor.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - run
        - --config=/etc/impulse-monitor/monitor.yaml
        - --log.level={{ .Values.log.level }}
        - --log.format={{ .Values.log.format }}
        {{- if .Values.webConfig.secret }}
        - --web.config.file=/etc/impulse-monitor-web/{{ .Values.webConfig.key }}
        {{- end }}
        {{- if gt (int .Values.shards) 1 }}
        - --shard.index=$(SHARD_INDEX)
        - --shard.total={{ int .Values.shards }}
        {{- end }}
        {{- with $role }}
        - --role={{ . }}
        {{- end }}
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if or .Values.env (gt (int .Values.shards) 1) (eq .Values.store.type "postgresql") }}
      env:
        {{- if gt (int .Values.shards) 1 }}
        - name: SHARD_INDEX
          valueFrom:
            fieldRef:
              fieldPath: metadata.labels['apps.kubernetes.io/pod-index']
        {{- end }}
        {{- if eq .Values.store.type "postgresql" }}
        - name: IMPULSE_MONITOR_STORE
          valueFrom:
            secretKeyRef:
              name: {{ required "store.postgresql.secret: name the Secret that has the URL of the database" .Values.store.postgresql.secret }}
              key: {{ .Values.store.postgresql.key }}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with .Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: 9890
        {{- if .Values.webConfig.secret }}
        - name: health
          containerPort: 9891
        {{- end }}
      {{- include "impulse-monitor.probe" (list . "startupProbe" "/-/healthy") | indent 6 }}
      {{- include "impulse-monitor.probe" (list . "livenessProbe" "/-/healthy") | indent 6 }}
      {{- include "impulse-monitor.probe" (list . "readinessProbe" "/-/ready") | indent 6 }}
      {{- with include "impulse-monitor.given" .Values.securityContext }}
      securityContext:
        {{- nindent 8 . }}
      {{- end }}
      {{- with default .Values.resources (include "impulse-monitor.replicated" (list . $role) | fromYaml).resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: config
          mountPath: /etc/impulse-monitor
          readOnly: true
        - name: tmp
          mountPath: /tmp
        {{- if include "impulse-monitor.storeVolume" . }}
        - name: store
          mountPath: /var/lib/impulse-monitor
        {{- end }}
        {{- range $index, $secret := .Values.secretMounts }}
        - name: secret-{{ $index }}
          mountPath: /run/secrets/{{ $secret }}
          readOnly: true
        {{- end }}
        {{- if .Values.webConfig.secret }}
        - name: web-config
          mountPath: /etc/impulse-monitor-web
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "impulse-monitor.fullname" . }}
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
    {{- if eq (include "impulse-monitor.storeVolume" .) "emptyDir" }}
    - name: store
      emptyDir:
        sizeLimit: {{ .Values.store.sqlite.size }}
    {{- else if and (include "impulse-monitor.storeVolume" .) (eq (int .Values.shards) 1) }}
    - name: store
      persistentVolumeClaim:
        claimName: {{ default (printf "%s-store" (include "impulse-monitor.fullname" .)) .Values.store.sqlite.existingClaim }}
    {{- end }}
    {{- range $index, $secret := .Values.secretMounts }}
    - name: secret-{{ $index }}
      secret:
        secretName: {{ $secret }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.webConfig.secret }}
    - name: web-config
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
