{{/*
The serving certificate and what the API server trusts, as YAML: cert, key, ca, bundle
(each base64) and renewAfter (Unix seconds).

A generated one is kept by upgrades until two thirds of its life are over. Its successor
comes with the old authority beside the new one in bundle, since replicas serve the old
certificate until the kubelet has brought the new. The authority's private key is
thrown away at once: it signs this one certificate.
*/}}
{{- define "hallmark.tls" -}}
{{- if eq .Values.tls.mode "given" -}}
bundle: {{ required "tls.given.caBundle is not set: the authority that signed the certificate, as PEM" .Values.tls.given.caBundle | b64enc }}
{{- else if eq .Values.tls.mode "generated" -}}
{{- $name := include "hallmark.name" . -}}
{{- $kept := lookup "v1" "Secret" .Release.Namespace (include "hallmark.tlsSecret" .) -}}
{{- $renewAfter := 0 -}}
{{- if and $kept $kept.data $kept.metadata.annotations -}}
{{- $renewAfter = index $kept.metadata.annotations "hallmark-verify/renew-after" | default "0" | int64 -}}
{{- end -}}
{{- $now := now | unixEpoch | int64 -}}
{{- if gt $renewAfter $now -}}
cert: {{ index $kept.data "tls.crt" }}
key: {{ index $kept.data "tls.key" }}
ca: {{ index $kept.data "ca.crt" }}
bundle: {{ index $kept.data "ca.crt" }}
renewAfter: {{ $renewAfter | toString | quote }}
{{- else -}}
{{- $host := printf "%s.%s.svc" $name .Release.Namespace -}}
{{- $days := int .Values.tls.generated.days -}}
{{- $authority := genCA (printf "%s authority" $name | trunc 60) $days -}}
{{- $pair := genSignedCert $host nil (list $host (printf "%s.cluster.local" $host)) $days $authority -}}
{{- $bundle := $authority.Cert -}}
{{- if and $kept $kept.data (index $kept.data "ca.crt") -}}
{{- $bundle = printf "%s%s" $authority.Cert (index $kept.data "ca.crt" | b64dec) -}}
{{- end -}}
cert: {{ $pair.Cert | b64enc }}
key: {{ $pair.Key | b64enc }}
ca: {{ $authority.Cert | b64enc }}
bundle: {{ $bundle | b64enc }}
renewAfter: {{ add $now (mul $days 57600) | toString | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
