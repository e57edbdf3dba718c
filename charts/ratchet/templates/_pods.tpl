{{/* What the pods have in common. */}}

{{/* ratchet.podSecurity: (list . user) */}}
{{- define "ratchet.podSecurity" -}}
{{- $root := index . 0 -}}
{{- $user := index . 1 -}}
{{- $ours := dict "runAsNonRoot" true "runAsUser" (int64 $user) "runAsGroup" (int64 $user) "fsGroup" (int64 $user) "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{ toYaml (mergeOverwrite $ours (deepCopy $root.Values.podSecurityContext)) }}
{{- end }}

{{- define "ratchet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* ratchet.placement: (list . component values) */}}
{{- define "ratchet.placement" -}}
{{- $root := index . 0 -}}
{{- $own := index . 2 -}}
topologySpreadConstraints:
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "ratchet.selector" $ | nindent 8 }}
{{- end }}
{{- include "ratchet.chosen" (list $own true) }}
{{- end }}

{{/* ratchet.chosen: (list values moves): where the values want the pod. moves: it leaves a node that is lost sooner than others. */}}
{{- define "ratchet.chosen" -}}
{{- $own := index . 0 -}}
{{- if or (index . 1) $own.tolerations }}
tolerations:
  {{- if index . 1 }}
  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
  {{- end }}
  {{- with $own.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- define "ratchet.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* ratchet.preStop: only asked for where the cluster knows it; see validate.yaml. */}}
{{- define "ratchet.preStop" -}}
{{- if .Values.drain.preStopSeconds }}
lifecycle:
  preStop:
    sleep: {seconds: {{ int .Values.drain.preStopSeconds }}}
{{- end }}
{{- end }}

{{/* ratchet.times: drain and leader as the program will have them: the preset's where the values say nothing. */}}
{{- define "ratchet.times" -}}
{{- $preset := .Values.settings.preset | default "default" -}}
{{- $times := get (.Files.Get "files/times.yaml" | fromYaml) $preset -}}
{{- range $section, $known := $times -}}
{{- $given := get $.Values.settings $section | default dict -}}
{{- range $name, $_ := $known -}}
{{- if and (hasKey $given $name) (not (kindIs "invalid" (get $given $name))) -}}{{- $_ := set $known $name (get $given $name) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{ toYaml $times }}
{{- end }}

{{/* ratchet.settings: what all pods read as RATCHET_CONFIG_FILE. */}}
{{- define "ratchet.settings" -}}
{{- $tree := deepCopy .Values.settings -}}
{{- if .Values.simulator.enabled -}}
{{- $port := include "ratchet.simulatorPort" . -}}
{{- $broker := dict "kind" "simulator" -}}
{{- $simulator := dict "host" "0.0.0.0" -}}
{{- $tree = mergeOverwrite $tree (dict "openalgo_url" (printf "http://%s-simulator:%s" (include "ratchet.fullname" .) $port) "simulator_port" (int $port) "broker" $broker "simulator" $simulator) -}}
{{- end -}}
{{- range $name, $value := $tree -}}
{{- if kindIs "invalid" $value -}}
{{- $tree = omit $tree $name -}}
{{- else if kindIs "map" $value -}}
{{- range $inner, $innerValue := $value -}}
{{- if kindIs "invalid" $innerValue -}}{{- $_ := unset $value $inner -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toYaml $tree }}
{{- end }}

{{/* ratchet.env: (list . secret-file...): where the files are, for each secret that the pod reads. */}}
{{- define "ratchet.env" -}}
{{- $root := index . 0 -}}
- {name: RATCHET_CONFIG_FILE, value: /etc/ratchet/settings.yaml}
{{- if or $root.Values.portfolio $root.Values.existingPortfolio }}
- {name: RATCHET_PORTFOLIO_FILE, value: /etc/ratchet-portfolio/portfolio.yaml}
{{- end }}
{{- range rest . }}
- {name: RATCHET_{{ . | replace "-" "_" | upper }}_FILE, value: /run/secrets/ratchet/{{ . }}}
{{- end }}
{{- with $root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "ratchet.mounts" -}}
- {name: settings, mountPath: /etc/ratchet, readOnly: true}
{{- if or .Values.portfolio .Values.existingPortfolio }}
- {name: portfolio, mountPath: /etc/ratchet-portfolio, readOnly: true}
{{- end }}
- {name: secrets, mountPath: /run/secrets/ratchet, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* ratchet.volumes: (list . secret-file...) */}}
{{- define "ratchet.volumes" -}}
{{- $root := index . 0 -}}
- name: settings
  configMap: {name: {{ include "ratchet.fullname" $root }}-settings}
{{- if or $root.Values.portfolio $root.Values.existingPortfolio }}
- name: portfolio
  configMap: {name: {{ $root.Values.existingPortfolio | default (printf "%s-portfolio" (include "ratchet.fullname" $root)) }}}
{{- end }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range rest . }}
      {{- $source := include "ratchet.secretOf" (list $root .) | fromYaml }}
      - secret:
          name: {{ $source.name }}
          items: [{key: {{ $source.key }}, path: {{ . }}}]
      {{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with $root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* ratchet.secretFiles: which secrets a component reads, as a YAML list. */}}
{{- define "ratchet.secretFiles" -}}
{{- $root := index . 0 -}}
{{- $files := list -}}
{{- if ne (index . 1) "simulator" -}}{{- $files = append $files "database-url" -}}{{- end -}}
{{- if ne (index . 1) "migrate" -}}{{- $files = append $files "openalgo-api-key" -}}{{- end -}}
{{- if and (has (index . 1) (list "signals" "leader")) (ne $root.Values.redis.mode "disabled") -}}{{- $files = append $files "redis-url" -}}{{- end -}}
{{- if eq (index . 1) "signals" -}}
{{- if include "ratchet.replica" $root -}}{{- $files = append $files "database-replica-url" -}}{{- end -}}
{{- $files = concat $files (list "webhook-token" "api-token") -}}
{{- if $root.Values.secrets.withPrevious -}}{{- $files = concat $files (list "webhook-token-previous" "api-token-previous") -}}{{- end -}}
{{- end -}}
{{ toYaml $files }}
{{- end }}

{{- define "ratchet.checksums" -}}
checksum/settings: {{ include "ratchet.settings" . | sha256sum }}
{{- if .Values.portfolio }}
checksum/portfolio: {{ .Values.portfolio | sha256sum }}
{{- end }}
{{- /* Only what the values give: what is generated is kept, and an existing Secret is read when a pod starts. */}}
{{- with compact (list .Values.secrets.webhookToken .Values.secrets.apiToken .Values.secrets.openalgoApiKey .Values.secrets.webhookTokenPrevious .Values.secrets.apiTokenPrevious .Values.postgres.external.url .Values.postgres.replica.url .Values.redis.external.url) }}
checksum/secrets: {{ toJson . | sha256sum }}
{{- end }}
{{- end }}
