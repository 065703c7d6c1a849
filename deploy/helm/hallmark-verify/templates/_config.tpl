{{/* The configuration file: what no flag can say. */}}
{{- define "hallmark.config" -}}
# Exemptions and kinds of the cluster's own; the rest stands in the arguments.
{{- $exemptions := list -}}
{{- range .Values.exemptions -}}
{{- $exemptions = append $exemptions (merge (dict "until" (regexReplaceAll "^([-0-9]{10})$" .until "${1}T00:00:00Z")) .) -}}
{{- end }}
exemptions: {{ toJson $exemptions }}
{{- $kinds := list -}}
{{- range .Values.customResources -}}
{{- if .paths -}}
{{- $kinds = append $kinds (dict "group" .apiGroup "kind" .kind "paths" .paths) -}}
{{- end -}}
{{- end }}
customResources: {{ toJson $kinds }}
{{- end -}}
