{{/* The configuration file: what no flag can say. */}}
{{- define "hallmark.config" -}}
# Exemptions and kinds of the cluster's own; the rest stands in the arguments.
exemptions: {{ toJson .Values.exemptions }}
customResources:
{{- if .Values.customResources }}
{{- range .Values.customResources }}
  - group: {{ .apiGroup | quote }}
    kind: {{ .kind }}
    paths: {{ toJson .paths }}
{{- end }}
{{- else }} []
{{- end }}
{{- end -}}
