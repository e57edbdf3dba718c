{{/* Rules that several network policies share. */}}

{{- define "ratchet.policy.dns" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}

{{/* ratchet.policy.to: (list . component port) */}}
{{- define "ratchet.policy.to" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "ratchet.selector" . | nindent 10 }}
  ports: [{port: {{ index . 2 }}, protocol: TCP}]
{{- end }}

{{/* ratchet.policy.cidrs: (list cidrs ports) */}}
{{- define "ratchet.policy.cidrs" -}}
- to:
    {{- range index . 0 }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
  ports:
    {{- range index . 1 }}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
{{- end }}

{{- define "ratchet.policy.database" -}}
{{- if eq .Values.postgres.mode "external" -}}
{{ include "ratchet.policy.cidrs" (list .Values.networkPolicy.database.cidrs .Values.networkPolicy.database.ports) }}
{{- else -}}
{{ include "ratchet.policy.to" (list . "postgres" 5432) }}
{{- end -}}
{{- end }}

{{- define "ratchet.policy.redis" -}}
{{- if eq .Values.redis.mode "external" -}}
{{ include "ratchet.policy.cidrs" (list .Values.networkPolicy.redis.cidrs .Values.networkPolicy.redis.ports) }}
{{- else if eq .Values.redis.mode "bundled" -}}
{{ include "ratchet.policy.to" (list . "redis" 6379) }}
{{- end -}}
{{- end }}

{{/* ratchet.brokerPort: of settings.openalgo_url, or what its scheme stands for. */}}
{{- define "ratchet.brokerPort" -}}
{{- $url := urlParse (.Values.settings.openalgo_url | default "http://none") -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end }}

{{- define "ratchet.policy.broker" -}}
{{- if .Values.simulator.enabled -}}
{{ include "ratchet.policy.to" (list . "simulator" (include "ratchet.simulatorPort" .)) }}
{{- else -}}
{{ include "ratchet.policy.cidrs" (list .Values.networkPolicy.broker.cidrs (list (include "ratchet.brokerPort" .))) }}
{{- end -}}
{{- end }}

{{/* ratchet.policy.head: (list . component) */}}
{{- define "ratchet.policy.head" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "ratchet.fullname" (index . 0) }}-{{ index . 1 }}
  labels:
    {{- include "ratchet.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "ratchet.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end }}

{{/* ratchet.policy.from: (list . component...) */}}
{{- define "ratchet.policy.from" -}}
{{- $root := index . 0 -}}
from:
  {{- range rest . }}
  - podSelector:
      matchLabels:
        {{- include "ratchet.selector" (list $root .) | nindent 8 }}
  {{- end }}
{{- end }}
