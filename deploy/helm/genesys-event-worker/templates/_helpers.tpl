{{/* Not <release>-<chart>: the alerts and the dashboard find the scrape job by the chart's name at its front. */}}
{{- define "genesys.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if hasPrefix .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Chart.Name .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* JSON list of all workers, each with its name and all its values: its own over the release's. */}}
{{- define "genesys.workers" -}}
{{- $own := list "handlers" "config" "secret" "serviceAccount" "irsa" "podIdentity" "replicas" "scaling" "resources" "podAnnotations" "podLabels" "nodeSelector" "tolerations" "affinity" "priorityClassName" "extraEnv" "extraVolumes" "extraVolumeMounts" -}}
{{- $common := dict -}}
{{- range $own -}}
{{- $_ := set $common . (index $.Values .) -}}
{{- end -}}
{{- $workers := list -}}
{{- range $key, $override := .Values.workers | default (dict "" dict) -}}
{{- $worker := mergeOverwrite (deepCopy $common) (deepCopy ($override | default dict)) -}}
{{- $name := include "genesys.fullname" $ -}}
{{- $_ := set $worker "key" $key -}}
{{- $_ := set $worker "name" (empty $key | ternary $name (printf "%s-%s" $name $key)) -}}
{{- $workers = append $workers $worker -}}
{{- end -}}
{{- toJson $workers -}}
{{- end -}}

{{/* Text of a setting. Through JSON: `toString` of 1209600 is 1.2096e+06. */}}
{{- define "genesys.text" -}}
{{- kindIs "string" . | ternary . (toJson .) -}}
{{- end -}}

{{/* JSON of what a worker's ConfigMap holds. */}}
{{- define "genesys.config" -}}
{{- $texts := dict "OPS_HOST" "0.0.0.0" "OPS_PORT" "9464" -}}
{{- range $key, $value := .config -}}
{{- $_ := set $texts $key (include "genesys.text" $value) -}}
{{- end -}}
{{- if .handlers -}}
{{- $_ := set $texts "HANDLERS" (join "," .handlers) -}}
{{- end -}}
{{- toJson $texts -}}
{{- end -}}

{{- define "genesys.image" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default .appVersion) -}}
{{- end -}}
{{- end -}}

{{/* Labels of an object or pod: `root` and the `name` of its workload. */}}
{{- define "genesys.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{ include "genesys.podLabels" . }}
{{- end -}}

{{/* Without the chart's version: it would roll the pods at each release of the chart. */}}
{{- define "genesys.podLabels" -}}
app.kubernetes.io/name: {{ .part | default .root.Chart.Name }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .name }}
{{- end -}}

{{- define "genesys.metadata" -}}
name: {{ .object | default .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "genesys.labels" . | nindent 2 }}
{{- end -}}

{{- define "genesys.secretName" -}}
{{- .worker.secret.existingSecret | default (include "genesys.fullname" .root) -}}
{{- end -}}

{{/* Names of the settings that come as files. */}}
{{- define "genesys.secretKeys" -}}
{{- empty .secret.existingSecret | ternary (.secret.values | default dict | keys | sortAlpha) list | default .secret.keys | toJson -}}
{{- end -}}

{{/* Empty when the Secret cannot be seen: rendered without a cluster, or not there yet. */}}
{{- define "genesys.secretChecksum" -}}
{{- $secret := .worker.secret -}}
{{- if and $secret.values (not $secret.existingSecret) -}}
{{- $secret.values | toJson | sha256sum -}}
{{- else if $secret.rollOnChange -}}
{{- with (lookup "v1" "Secret" .root.Release.Namespace (include "genesys.secretName" .)).data -}}
{{- toJson . | sha256sum -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Of a `worker`, or of the report schedule: what has `serviceAccount`, and its `name`. */}}
{{- define "genesys.serviceAccountName" -}}
{{- .serviceAccount.name | default .name -}}
{{- end -}}

{{- define "genesys.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "genesys.metadata" (merge (dict "object" (include "genesys.serviceAccountName" .of)) .) | nindent 2 }}
  {{- $annotations := deepCopy (.of.serviceAccount.annotations | default dict) }}
  {{- with .of.irsa.roleArn }}
  {{- $annotations = merge $annotations (dict "eks.amazonaws.com/role-arn" . "eks.amazonaws.com/sts-regional-endpoints" "true") }}
  {{- end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}

{{- define "genesys.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "genesys.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{/* Out: names, and TLS to anywhere but the link-local addresses (instance metadata). Host names need a
     CNI that knows them, e.g. Cilium. */}}
{{- define "genesys.egress" -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ .root.Values.networkPolicy.dnsNamespace }}
  ports:
    - protocol: UDP
      port: 53
    - protocol: TCP
      port: 53
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except:
          - 169.254.0.0/16
    - ipBlock:
        cidr: ::/0
        except:
          - fe80::/10
          - fd00:ec2::/32
  ports:
    - protocol: TCP
      port: 443
{{- if .podIdentity }}
- to:
    - ipBlock:
        cidr: 169.254.170.23/32
    - ipBlock:
        cidr: fd00:ec2::23/128
  ports:
    - protocol: TCP
      port: 80
{{- end }}
{{- with .root.Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
