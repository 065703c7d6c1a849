{{/*
Every kind that holds images. The API server converts other versions to these
(matchPolicy Equivalent), so the server reads one shape of each.
*/}}
{{- define "hallmark.rules" -}}
- apiGroups: [""]
  apiVersions: [v1]
  resources: [pods, pods/ephemeralcontainers, podtemplates, replicationcontrollers]
  operations: [CREATE, UPDATE]
  scope: Namespaced
- apiGroups: [apps]
  apiVersions: [v1]
  resources: [deployments, replicasets, statefulsets, daemonsets]
  operations: [CREATE, UPDATE]
  scope: Namespaced
- apiGroups: [batch]
  apiVersions: [v1]
  resources: [jobs, cronjobs]
  operations: [CREATE, UPDATE]
  scope: Namespaced
{{- range .Values.customResources }}
- apiGroups: [{{ .apiGroup | quote }}]
  apiVersions: {{ toJson .apiVersions }}
  resources: {{ toJson .resources }}
  operations: [CREATE, UPDATE]
  scope: "*"
{{- end }}
{{- end -}}

{{/* What both webhooks have in common. */}}
{{- define "hallmark.webhook" -}}
admissionReviewVersions: [v1]
sideEffects: None
failurePolicy: {{ .Values.webhook.failurePolicy }}
matchPolicy: Equivalent
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
rules:
  {{- include "hallmark.rules" . | nindent 2 }}
{{- with .Values.webhook.excludedNamespaces }}
# The API server sets this label itself, to the namespace's name.
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values:
        {{- range . }}
        - {{ .name }} # {{ .reason }}
        {{- end }}
{{- else }}
namespaceSelector: {}
{{- end }}
objectSelector: {}
{{- if .Values.webhook.admitOwnImage }}
matchConditions:
  - name: not-the-own-image
    expression: >-
      {{- include "hallmark.notOwnImage" . | nindent 6 }}
{{- end }}
{{- end -}}

{{/*
True unless the object is in the release's own namespace and every place for an image
holds exactly the chart's own. Without it, replicas that are all gone could not come back.
*/}}
{{- define "hallmark.notOwnImage" -}}
!(request.namespace == {{ .Release.Namespace | quote }}
&& (!has(request.subResource) || request.subResource == "")
&& (
(request.resource.group == "" && request.resource.resource == "pods"
&& {{ include "hallmark.ownImageOnly" (dict "spec" "object.spec" "image" (include "hallmark.image" .)) }})
||
(request.resource.group == "apps" && request.resource.resource in ["deployments", "replicasets"]
&& {{ include "hallmark.ownImageOnly" (dict "spec" "object.spec.template.spec" "image" (include "hallmark.image" .)) }})
))
{{- end -}}

{{- define "hallmark.ownImageOnly" -}}
{{- $s := .spec -}}
has({{ $s }}.containers) && {{ $s }}.containers.all(c, has(c.image) && c.image == {{ .image | quote }})
&& !has({{ $s }}.initContainers) && !has({{ $s }}.ephemeralContainers)
&& (!has({{ $s }}.volumes) || {{ $s }}.volumes.all(v, !has(v.image)))
{{- end -}}
