{{/* Names, labels and images. */}}
{{- define "ratchet.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "ratchet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "ratchet.name" .) .Release.Name -}}
{{ .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "ratchet.name" .) | replace "." "-" | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* ratchet.selector: (list . component). Never the version: selectors cannot be changed. */}}
{{- define "ratchet.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "ratchet.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* ratchet.podLabels: (list . component). What a pod template carries; without the version, so that a new chart alone restarts nothing. */}}
{{- define "ratchet.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "ratchet.selector" . }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* ratchet.labels: (list . component) */}}
{{- define "ratchet.labels" -}}
{{- $root := index . 0 -}}
{{ include "ratchet.podLabels" . }}
app.kubernetes.io/version: {{ $root.Values.image.tag | default $root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: ratchet
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "ratchet.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "ratchet.leaseName" -}}
{{ include "ratchet.fullname" . }}-leader
{{- end }}

{{- define "ratchet.simulatorPort" -}}5000{{- end }}
