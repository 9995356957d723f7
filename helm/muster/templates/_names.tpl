{{- define "muster.name" -}}{{ .Chart.Name | trunc 63 | trimSuffix "-" }}{{- end }}
{{- define "muster.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- define "muster.labels" -}}
app.kubernetes.io/name: {{ include "muster.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}
{{- define "muster.selector" -}}
app.kubernetes.io/name: {{ include "muster.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "muster.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "muster.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}
{{- define "muster.image" -}}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{- end }}
{{/* Restricted by the Pod Security Standards: not root, no escalation, nothing beyond what Node needs. */}}
{{- define "muster.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}
{{- define "muster.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
{{- define "muster.databaseEnv" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ required "database.existingSecret names a secret that holds the database URL" .Values.database.existingSecret }}
      key: {{ .Values.database.key }}
{{- end }}
{{- define "muster.runs" -}}{{ printf "%s-runs" (include "muster.fullname" . | trunc 58 | trimSuffix "-") }}{{- end }}
{{- define "muster.runsClaim" -}}{{ default (include "muster.runs" .) .Values.sandbox.kubernetes.persistence.existingClaim }}{{- end }}
{{/* For MUSTER_SANDBOX_KUBERNETES. The kubelet puts this pod's node, name and id where $(…) stands. */}}
{{- define "muster.sandboxSettings" -}}
{{- $own := .Values.sandbox.kubernetes -}}
{{- $settings := dict "image" (default (include "muster.image" .) $own.image) "claim" (include "muster.runsClaim" .) "root" "/data/verifiers" "namespace" .Release.Namespace "cpu" $own.cpu "startSeconds" (int $own.startSeconds) "nodeName" "$(NODE_NAME)" "owner" (dict "name" "$(POD_NAME)" "uid" "$(POD_UID)") -}}
{{- with $own.runtimeClass.name }}{{ $_ := set $settings "runtimeClass" . }}{{ end -}}
{{- toJson $settings -}}
{{- end }}
