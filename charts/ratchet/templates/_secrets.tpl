{{/* Where each secret is, and how its value is found: an existing Secret, the given value, what is there, a new one. */}}

{{/* ratchet.secretOf: (list . file): name and key of the Secret that holds it. */}}
{{- define "ratchet.secretOf" -}}
{{- $root := index . 0 -}}
{{- $file := index . 1 -}}
{{- $full := include "ratchet.fullname" $root -}}
{{- $postgres := $root.Values.postgres -}}
{{- $redis := $root.Values.redis -}}
{{- if eq $file "database-url" -}}
{{- if eq $postgres.mode "cnpg" -}}
{name: {{ $full }}-postgres-app, key: uri}
{{- else if eq $postgres.mode "external" -}}
{name: {{ $postgres.external.existingSecret | default (printf "%s-database" $full) }}, key: {{ ternary $postgres.external.existingSecretKey "url" (ne $postgres.external.existingSecret "") }}}
{{- else -}}
{name: {{ $postgres.bundled.existingSecret | default (printf "%s-postgres" $full) }}, key: url}
{{- end -}}
{{- else if eq $file "database-replica-url" -}}
{name: {{ $postgres.replica.existingSecret | default (printf "%s-database-replica" $full) }}, key: {{ ternary $postgres.replica.existingSecretKey "url" (ne $postgres.replica.existingSecret "") }}}
{{- else if eq $file "redis-url" -}}
{{- if eq $redis.mode "external" -}}
{name: {{ $redis.external.existingSecret | default (printf "%s-redis-url" $full) }}, key: {{ ternary $redis.external.existingSecretKey "url" (ne $redis.external.existingSecret "") }}}
{{- else -}}
{name: {{ $redis.bundled.existingSecret | default (printf "%s-redis" $full) }}, key: url}
{{- end -}}
{{- else -}}
{name: {{ $root.Values.secrets.existingSecret | default (printf "%s-tokens" $full) }}, key: {{ $file }}}
{{- end -}}
{{- end }}

{{/* ratchet.replica: something if there is a read replica. */}}
{{- define "ratchet.replica" -}}
{{- with .Values.postgres.replica }}{{ .existingSecret | default .url }}{{ end -}}
{{- end }}

{{/*
ratchet.secretValue: (list . secret key given setting). A value is generated only where the cluster can be asked whether
there is one already: without a cluster each rendering would make another, and silently change it.
*/}}
{{- define "ratchet.secretValue" -}}
{{- $root := index . 0 -}}
{{- $there := lookup "v1" "Secret" $root.Release.Namespace (index . 1) | default dict -}}
{{- $value := get ($there.data | default dict) (index . 2) -}}
{{- if index . 3 -}}
{{ index . 3 }}
{{- else if $value -}}
{{ $value | b64dec }}
{{- else if hasKey (lookup "v1" "Secret" $root.Release.Namespace "" | default dict) "items" -}}
{{ randAlphaNum 40 }}
{{- else -}}
{{ fail (printf "%s is not set, and without a cluster nothing can be generated and kept: set it, or name an existingSecret" (index . 4)) }}
{{- end -}}
{{- end }}

{{/* ratchet.keep: (list given...): what was generated outlives the release, as the volumes it opens do. */}}
{{- define "ratchet.keep" -}}
{{- if not (compact . | len | eq (len .)) }}
annotations:
  helm.sh/resource-policy: keep
{{- end }}
{{- end }}
