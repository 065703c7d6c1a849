{{/* The arguments of hallmark-verify. */}}
{{- define "hallmark.args" -}}
- serve
- --config=/etc/hallmark/config/config.yaml
- --policy=/etc/hallmark/policy/{{ .Values.policy.main }}
{{- if include "hallmark.namespacePoliciesConfigMap" . }}
- --namespace-policies=/etc/hallmark/namespaces
{{- end }}
{{- if .Values.policy.trustStateConfigMap }}
# The folder behind the kubelet's link: the mount itself may be written by everybody, by
# its mode, and such a state is refused.
- --trust-dir=/etc/hallmark/trust/..data
{{- end }}
- --listen=:8443
- --health-listen=:8081
- --tls-cert=/etc/hallmark/tls/tls.crt
- --tls-key=/etc/hallmark/tls/tls.key
{{- if .Values.tls.clientCAConfigMap }}
- --client-ca=/etc/hallmark/client-ca/ca.crt
{{- end }}
- --timeout={{ .Values.webhook.timeoutSeconds }}s
- --on-unavailable={{ .Values.server.onUnavailable }}
- --tag-freshness={{ .Values.server.tagFreshness }}
- --cache-max-age={{ .Values.server.cacheMaxAge }}
{{- if .Values.server.verifyUnchangedTags }}
- --verify-unchanged-tags
{{- end }}
{{- if .Values.mutating.enabled }}
- --mutate
{{- end }}
{{- if .Values.server.requireDigest }}
- --require-digest
{{- end }}
{{- range .Values.server.registries }}
- --registry-allow={{ . }}
{{- end }}
{{- if .Values.registry.credentialsSecret }}
- --docker-config=/etc/hallmark/docker/config.json
{{- end }}
{{- if .Values.registry.caConfigMap }}
- --registry-ca=/etc/hallmark/registry-ca/ca.crt
{{- end }}
{{- if .Values.pullSecrets.enabled }}
- --pull-secrets
{{- end }}
{{- with .Values.server.otlpEndpoint }}
- --otlp-endpoint={{ . }}
{{- end }}
{{- range .Values.server.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}
