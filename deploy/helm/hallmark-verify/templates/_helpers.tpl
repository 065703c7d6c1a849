{{/* Names */}}
{{- define "hallmark.name" -}}
{{- default .Release.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "hallmark.selector" -}}
app.kubernetes.io/name: hallmark-verify
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "hallmark.labels" -}}
{{ include "hallmark.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: admission
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "hallmark.image" -}}
{{- $repository := required "image.repository is not set: build the image with make image, push it, and name it here" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "hallmark.policyConfigMap" -}}
{{- default (printf "%s-policy" (include "hallmark.name" .)) .Values.policy.existingConfigMap -}}
{{- end -}}

{{- define "hallmark.namespacePoliciesConfigMap" -}}
{{- if .Values.namespacePoliciesConfigMap -}}
{{ .Values.namespacePoliciesConfigMap }}
{{- else if .Values.namespacePolicies -}}
{{ include "hallmark.name" . }}-namespace-policies
{{- end -}}
{{- end -}}

{{- define "hallmark.tlsSecret" -}}
{{- if eq .Values.tls.mode "given" -}}
{{ required "tls.given.secretName is not set" .Values.tls.given.secretName }}
{{- else -}}
{{ include "hallmark.name" . }}-tls
{{- end -}}
{{- end -}}

{{/* What the values must hold beyond what the schema can say. */}}
{{- define "hallmark.check" -}}
{{- if and (not .Values.policy.existingConfigMap) (not (hasKey .Values.policy.files .Values.policy.main)) -}}
{{- fail (printf "policy.files has no %s: set it with --set-file 'policy.files.policy\\.yaml=policy.yaml', or name policy.existingConfigMap" .Values.policy.main) -}}
{{- end -}}
{{- if and .Values.pullSecrets.enabled (not .Values.pullSecrets.namespaces) -}}
{{- fail "pullSecrets.enabled needs pullSecrets.namespaces: access is given to named Secrets alone" -}}
{{- end -}}
{{- range $namespace, $policy := .Values.namespacePolicies -}}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" $namespace) -}}
{{- fail (printf "namespacePolicies: %q is no name of a namespace" $namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
