package workload

// BuiltIn lists the kinds whose images are known: those of Kubernetes, and custom
// resources that are widely used. Versions of a group are read alike.
func BuiltIn() []Custom {
	template := []string{"spec.template podTemplate"} // where a workload's Pod template stands
	return []Custom{
		{"", "Pod", []string{"spec podSpec"}},
		{"", "PodTemplate", []string{"template podTemplate"}},
		{"", "ReplicationController", template},
		{"apps", "Deployment", template},
		{"apps", "ReplicaSet", template},
		{"apps", "StatefulSet", template},
		{"apps", "DaemonSet", template},
		{"batch", "Job", template},
		{"batch", "CronJob", []string{"spec.jobTemplate.spec.template podTemplate"}},
		// What the API served before apps/v1; old charts still hold it.
		{"extensions", "Deployment", template},
		{"extensions", "ReplicaSet", template},
		{"extensions", "DaemonSet", template},

		{"apps.openshift.io", "DeploymentConfig", template},
		{"argoproj.io", "Rollout", template},
		{"argoproj.io", "Workflow", workflow("spec")},
		{"argoproj.io", "WorkflowTemplate", workflow("spec")},
		{"argoproj.io", "ClusterWorkflowTemplate", workflow("spec")},
		{"argoproj.io", "CronWorkflow", workflow("spec.workflowSpec")},
		{"argoproj.io", "AnalysisTemplate", []string{"spec.metrics[*].provider.job.spec.template podTemplate"}},
		{"argoproj.io", "ClusterAnalysisTemplate", []string{"spec.metrics[*].provider.job.spec.template podTemplate"}},
		{"argoproj.io", "AnalysisRun", []string{"spec.metrics[*].provider.job.spec.template podTemplate"}},
		{"serving.knative.dev", "Service", template},
		{"serving.knative.dev", "Configuration", template},
		{"serving.knative.dev", "Revision", []string{"spec podSpec"}},
		{"tekton.dev", "Task", task("spec")},
		{"tekton.dev", "ClusterTask", task("spec")},
		{"tekton.dev", "TaskRun", task("spec.taskSpec")},
		{"tekton.dev", "StepAction", []string{"spec.image image"}},
		{"tekton.dev", "Pipeline", pipeline("spec")},
		{"tekton.dev", "PipelineRun", pipeline("spec.pipelineSpec")},
		{"kubevirt.io", "VirtualMachine", machine("spec.template.spec")},
		{"kubevirt.io", "VirtualMachineInstance", machine("spec")},
		{"kubevirt.io", "VirtualMachineInstanceReplicaSet", machine("spec.template.spec")},
		{"pool.kubevirt.io", "VirtualMachinePool", machine("spec.virtualMachineTemplate.spec.template.spec")},
		{"jobset.x-k8s.io", "JobSet", []string{"spec.replicatedJobs[*].template.spec.template podTemplate"}},
		{"leaderworkerset.x-k8s.io", "LeaderWorkerSet", []string{
			"spec.leaderWorkerTemplate.leaderTemplate podTemplate", "spec.leaderWorkerTemplate.workerTemplate podTemplate",
		}},
		{"keda.sh", "ScaledJob", []string{"spec.jobTargetRef.template podTemplate"}},
		{"ray.io", "RayCluster", ray("spec")},
		{"ray.io", "RayJob", append(ray("spec.rayClusterSpec"), "spec.submitterPodTemplate podTemplate")},
		{"ray.io", "RayService", ray("spec.rayClusterConfig")},
		{"kubeflow.org", "PyTorchJob", []string{"spec.pytorchReplicaSpecs.*.template podTemplate"}},
		{"kubeflow.org", "TFJob", []string{"spec.tfReplicaSpecs.*.template podTemplate"}},
		{"kubeflow.org", "MPIJob", []string{"spec.mpiReplicaSpecs.*.template podTemplate"}},
		{"kubeflow.org", "Notebook", template},
		{"batch.volcano.sh", "Job", []string{"spec.tasks[*].template podTemplate"}},
		{"apps.kruise.io", "CloneSet", template},
		{"apps.kruise.io", "StatefulSet", template},
		{"apps.kruise.io", "DaemonSet", template},
		{"apps.kruise.io", "BroadcastJob", template},
		{"apps.kruise.io", "SidecarSet", []string{"spec.containers containers", "spec.initContainers containers"}},
	}
}

// task lists the images of a Tekton TaskSpec.
func task(at string) []string {
	return []string{at + ".steps containers", at + ".sidecars containers", at + ".stepTemplate container", at + ".volumes[*].image.reference image"}
}

// pipeline lists those of the tasks that a Tekton PipelineSpec holds itself.
func pipeline(at string) []string {
	return append(task(at+".tasks[*].taskSpec"), task(at+".finally[*].taskSpec")...)
}

// workflow lists those of an Argo WorkflowSpec; a template may hold others inline.
func workflow(at string) []string {
	all := []string{at + ".volumes[*].image.reference image"}
	for _, one := range []string{at + ".templateDefaults", at + ".templates[*]"} {
		for _, inline := range []string{"", ".dag.tasks[*].inline", ".steps[*][*].inline"} {
			for _, leaf := range []string{
				".container container", ".script container", ".containerSet.containers containers",
				".initContainers containers", ".sidecars containers", ".volumes[*].image.reference image",
			} {
				all = append(all, one+inline+leaf)
			}
		}
	}
	return all
}

// machine lists those of a KubeVirt VirtualMachineInstanceSpec.
func machine(at string) []string {
	return []string{at + ".volumes[*].containerDisk.image image", at + ".domain.firmware.kernelBoot.container.image image"}
}

// ray lists those of a RayClusterSpec.
func ray(at string) []string {
	return []string{at + ".headGroupSpec.template podTemplate", at + ".workerGroupSpecs[*].template podTemplate"}
}
