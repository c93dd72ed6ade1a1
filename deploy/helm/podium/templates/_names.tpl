{{/* Names and labels that all objects share. */}}

{{- define "podium.name" -}}
{{- if contains "podium" .Release.Name }}{{ .Release.Name | trunc 30 | trimSuffix "-" }}{{ else }}{{ printf "%s-podium" .Release.Name | trunc 30 | trimSuffix "-" }}{{ end -}}
{{- end -}}

{{- define "podium.labels" -}}
app.kubernetes.io/name: podium
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "podium.selector" -}}
app.kubernetes.io/name: podium
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "podium.serviceAccount" -}}
{{ if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "podium.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end -}}

{{- define "podium.secret" -}}
{{ .Values.secret.existing | default (include "podium.name" .) }}
{{- end -}}

{{/* A stream's name as a part of names: lower case, no other signs, and of a length that fits. */}}
{{- define "podium.streamName" -}}
{{- $plain := regexReplaceAll "[^a-z0-9]+" (lower .) "-" | trimAll "-" -}}
{{- if and (eq $plain .) (lt (len .) 21) }}{{ . }}{{ else }}{{ printf "%s-%s" ($plain | trunc 12 | trimSuffix "-") (sha256sum . | trunc 6) | trimPrefix "-" }}{{ end -}}
{{- end -}}

{{/* A value as a label: 63 letters, digits, and some signs within. */}}
{{- define "podium.label" -}}
{{- regexReplaceAll "[^A-Za-z0-9._-]+" (toString .) "-" | trunc 63 | trimAll "-._" | quote -}}
{{- end -}}

{{/* Those of the original's chart; podium.io/stream tells pods apart. */}}
{{- define "podium.streamLabels" -}}
app.kubernetes.io/component: prober
podium.io/stream: {{ include "podium.streamName" .name | quote }}
test.livepeer.io/name: {{ include "podium.label" .name }}
test.livepeer.io/duration: {{ include "podium.label" .duration }}
test.livepeer.io/injest_region: {{ include "podium.label" (.injest_region | default .ingest_region | default "") }}
test.livepeer.io/playback_region: {{ include "podium.label" (.playback_region | default "") }}
{{- end -}}

{{- define "podium.settings" -}}
{{- range $name, $value := . }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "podium.pod" -}}
serviceAccountName: {{ include "podium.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "podium.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
