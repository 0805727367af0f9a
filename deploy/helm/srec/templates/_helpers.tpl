{{- define "srec.name" -}}
{{- if contains "srec" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-srec{{ end }}
{{- end }}

{{- define "srec.selector" -}}
app.kubernetes.io/name: srec
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "srec.labels" -}}
{{ include "srec.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "srec.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "srec.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "srec.hasRedis" -}}
{{- if or .Values.redis.url .Values.redis.existingSecret }}yes{{ end }}
{{- end }}

{{- define "srec.hasApiKey" -}}
{{- if or .Values.apiKey.value .Values.apiKey.existingSecret }}yes{{ end }}
{{- end }}
