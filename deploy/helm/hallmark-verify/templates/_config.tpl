{{/* The configuration file: what no flag can say. */}}
{{- define "hallmark.config" -}}
# Exemptions and kinds of the cluster's own; the rest stands in the arguments.
exemptions: {{ toJson .Values.exemptions }}
{{- $kinds := list -}}
{{- range .Values.customResources -}}
{{- if .paths -}}
{{- $kinds = append $kinds (dict "group" .apiGroup "kind" .kind "paths" .paths) -}}
{{- end -}}
{{- end }}
customResources: {{ toJson $kinds }}
{{- end -}}
