package workload_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/policy/workload"
)

// every is a Pod spec with an image in each place that a Pod spec has.
const every = `{"initContainers":[{"name":"i","image":"img/init"},{"name":"s","restartPolicy":"Always","image":"img/sidecar"}],
	"containers":[{"name":"c","image":"img/main"},{"name":"none"}],
	"ephemeralContainers":[{"name":"e","image":"img/debug","targetContainerName":"c"}],
	"volumes":[{"name":"v","emptyDir":{}},{"name":"m","image":{"reference":"img/model","pullPolicy":"Always"}}]}`

// inEvery lists the places of every, below a path.
func inEvery(at string) []string {
	var all []string
	for _, place := range []string{
		"initContainers[0].image=img/init initContainer i", "initContainers[1].image=img/sidecar initContainer s",
		"containers[0].image=img/main container c", "ephemeralContainers[0].image=img/debug ephemeralContainer e",
		"volumes[1].image.reference=img/model imageVolume m",
	} {
		all = append(all, at+"."+place)
	}
	return all
}

// kindTests has one entry for each kind that is built in; docs/admission-places.md
// lists them.
var kindTests = []struct {
	apiVersion, kind, rest string
	want                   []string
}{
	{"v1", "Pod", `"spec":` + every, inEvery("spec")},
	{"v1", "PodTemplate", `"template":{"spec":` + every + `}`, inEvery("template.spec")},
	{"v1", "ReplicationController", inTemplate("spec"), inEvery("spec.template.spec")},
	{"apps/v1", "Deployment", inTemplate("spec"), inEvery("spec.template.spec")},
	{"apps/v1", "ReplicaSet", inTemplate("spec"), inEvery("spec.template.spec")},
	{"apps/v1", "StatefulSet", inTemplate("spec"), inEvery("spec.template.spec")},
	{"apps/v1", "DaemonSet", inTemplate("spec"), inEvery("spec.template.spec")},
	{"batch/v1", "Job", inTemplate("spec"), inEvery("spec.template.spec")},
	{"batch/v1", "CronJob", inTemplate("spec", "jobTemplate", "spec"), inEvery("spec.jobTemplate.spec.template.spec")},
	{"extensions/v1beta1", "Deployment", inTemplate("spec"), inEvery("spec.template.spec")},
	{"extensions/v1beta1", "ReplicaSet", inTemplate("spec"), inEvery("spec.template.spec")},
	{"extensions/v1beta1", "DaemonSet", inTemplate("spec"), inEvery("spec.template.spec")},
	{"apps.openshift.io/v1", "DeploymentConfig", inTemplate("spec"), inEvery("spec.template.spec")},
	{"argoproj.io/v1alpha1", "Rollout", inTemplate("spec"), inEvery("spec.template.spec")},
	{"argoproj.io/v1alpha1", "AnalysisTemplate", `"spec":{"metrics":[{"provider":{"web":{}}},{"provider":{"job":{` + inTemplate("spec") + `}}}]}`, inEvery("spec.metrics[1].provider.job.spec.template.spec")},
	{"argoproj.io/v1alpha1", "ClusterAnalysisTemplate", `"spec":{"metrics":[{"provider":{"job":{` + inTemplate("spec") + `}}}]}`, inEvery("spec.metrics[0].provider.job.spec.template.spec")},
	{"argoproj.io/v1alpha1", "AnalysisRun", `"spec":{"metrics":[{"provider":{"job":{` + inTemplate("spec") + `}}}]}`, inEvery("spec.metrics[0].provider.job.spec.template.spec")},
	{"argoproj.io/v1alpha1", "Workflow", `"spec":` + argo, inArgo("spec")},
	{"argoproj.io/v1alpha1", "WorkflowTemplate", `"spec":` + argo, inArgo("spec")},
	{"argoproj.io/v1alpha1", "ClusterWorkflowTemplate", `"spec":` + argo, inArgo("spec")},
	{"argoproj.io/v1alpha1", "CronWorkflow", `"spec":{"workflowSpec":` + argo + `}`, inArgo("spec.workflowSpec")},
	{"serving.knative.dev/v1", "Service", inTemplate("spec"), inEvery("spec.template.spec")},
	{"serving.knative.dev/v1", "Configuration", inTemplate("spec"), inEvery("spec.template.spec")},
	{"serving.knative.dev/v1", "Revision", `"spec":` + every, inEvery("spec")},
	{"tekton.dev/v1", "Task", `"spec":` + tekton, inTekton("spec")},
	{"tekton.dev/v1beta1", "ClusterTask", `"spec":` + tekton, inTekton("spec")},
	{"tekton.dev/v1", "TaskRun", `"spec":{"taskSpec":` + tekton + `}`, inTekton("spec.taskSpec")},
	{"tekton.dev/v1beta1", "StepAction", `"spec":{"image":"img/action"}`, []string{"spec.image=img/action custom "}},
	{"tekton.dev/v1", "Pipeline", `"spec":{"tasks":[{"taskRef":{"name":"t"}},{"taskSpec":` + tekton + `}],"finally":[{"taskSpec":` + tekton + `}]}`, inPipeline("spec")},
	{"tekton.dev/v1", "PipelineRun", `"spec":{"pipelineSpec":{"tasks":[{},{"taskSpec":` + tekton + `}],"finally":[{"taskSpec":` + tekton + `}]}}`, inPipeline("spec.pipelineSpec")},
	{"kubevirt.io/v1", "VirtualMachine", `"spec":{"template":{"spec":` + machine + `}}`, inMachine("spec.template.spec")},
	{"kubevirt.io/v1", "VirtualMachineInstance", `"spec":` + machine, inMachine("spec")},
	{"kubevirt.io/v1", "VirtualMachineInstanceReplicaSet", `"spec":{"template":{"spec":` + machine + `}}`, inMachine("spec.template.spec")},
	{"pool.kubevirt.io/v1beta1", "VirtualMachinePool", `"spec":{"virtualMachineTemplate":{"spec":{"template":{"spec":` + machine + `}}}}`, inMachine("spec.virtualMachineTemplate.spec.template.spec")},
	{"jobset.x-k8s.io/v1alpha2", "JobSet", `"spec":{"replicatedJobs":[{"name":"w","template":{` + inTemplate("spec") + `}}]}`, inEvery("spec.replicatedJobs[0].template.spec.template.spec")},
	{"leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", `"spec":{"leaderWorkerTemplate":{"leaderTemplate":{"spec":{"containers":[{"image":"img/l"}]}},"workerTemplate":{"spec":{"containers":[{"image":"img/w"}]}}}}`, []string{
		"spec.leaderWorkerTemplate.leaderTemplate.spec.containers[0].image=img/l container ", "spec.leaderWorkerTemplate.workerTemplate.spec.containers[0].image=img/w container ",
	}},
	{"keda.sh/v1alpha1", "ScaledJob", inTemplate("spec", "jobTargetRef"), inEvery("spec.jobTargetRef.template.spec")},
	{"ray.io/v1", "RayCluster", `"spec":` + ray, inRay("spec")},
	{"ray.io/v1", "RayService", `"spec":{"rayClusterConfig":` + ray + `}`, inRay("spec.rayClusterConfig")},
	{"ray.io/v1", "RayJob", `"spec":{"rayClusterSpec":` + ray + `,"submitterPodTemplate":{"spec":{"containers":[{"image":"img/s"}]}}}`, append(inRay("spec.rayClusterSpec"), "spec.submitterPodTemplate.spec.containers[0].image=img/s container ")},
	{"kubeflow.org/v1", "PyTorchJob", `"spec":{"pytorchReplicaSpecs":{"Master":{"template":{"spec":{"containers":[{"image":"img/m"}]}}}}}`, []string{"spec.pytorchReplicaSpecs.Master.template.spec.containers[0].image=img/m container "}},
	{"kubeflow.org/v1", "TFJob", `"spec":{"tfReplicaSpecs":{"Worker":{"template":{"spec":{"containers":[{"image":"img/m"}]}}}}}`, []string{"spec.tfReplicaSpecs.Worker.template.spec.containers[0].image=img/m container "}},
	{"kubeflow.org/v2beta1", "MPIJob", `"spec":{"mpiReplicaSpecs":{"Launcher":{"template":{"spec":{"containers":[{"image":"img/m"}]}}}}}`, []string{"spec.mpiReplicaSpecs.Launcher.template.spec.containers[0].image=img/m container "}},
	{"kubeflow.org/v1", "Notebook", inTemplate("spec"), inEvery("spec.template.spec")},
	{"batch.volcano.sh/v1alpha1", "Job", `"spec":{"tasks":[{"template":{"spec":{"containers":[{"image":"img/m"}]}}}]}`, []string{"spec.tasks[0].template.spec.containers[0].image=img/m container "}},
	{"apps.kruise.io/v1alpha1", "CloneSet", inTemplate("spec"), inEvery("spec.template.spec")},
	{"apps.kruise.io/v1beta1", "StatefulSet", inTemplate("spec"), inEvery("spec.template.spec")},
	{"apps.kruise.io/v1alpha1", "DaemonSet", inTemplate("spec"), inEvery("spec.template.spec")},
	{"apps.kruise.io/v1alpha1", "BroadcastJob", inTemplate("spec"), inEvery("spec.template.spec")},
	{"apps.kruise.io/v1alpha1", "SidecarSet", `"spec":{"containers":[{"name":"c","image":"img/c"}],"initContainers":[{"image":"img/i"}]}`, []string{"spec.containers[0].image=img/c container c", "spec.initContainers[0].image=img/i container "}},
}

const (
	argo = `{"volumes":[{"name":"v","image":{"reference":"img/v"}}],"templateDefaults":{"container":{"image":"img/d"}},"templates":[
		{"name":"a","container":{"name":"","image":"img/a"},"initContainers":[{"name":"i","image":"img/i"}],"sidecars":[{"name":"s","image":"img/s"}]},
		{"script":{"image":"img/script","source":"x"}},
		{"containerSet":{"containers":[{"name":"k","image":"img/k"}]}},
		{"dag":{"tasks":[{"name":"x","inline":{"container":{"image":"img/dag"}}}]}},
		{"steps":[[{"name":"y","template":"a"},{"name":"z","inline":{"script":{"image":"img/step"}}}]]}]}`
	tekton  = `{"steps":[{"name":"b","image":"img/step"},{"ref":{"name":"action"}}],"sidecars":[{"image":"img/side"}],"stepTemplate":{"image":"img/base"},"volumes":[{"image":{"reference":"img/v"}}]}`
	machine = `{"domain":{"firmware":{"kernelBoot":{"container":{"image":"img/kernel"}}}},"volumes":[{"name":"d","containerDisk":{"image":"img/disk"}},{"name":"n","cloudInitNoCloud":{}}]}`
	ray     = `{"headGroupSpec":{"template":{"spec":{"containers":[{"image":"img/h"}]}}},"workerGroupSpecs":[{"template":{"spec":{"containers":[{"image":"img/w"}]}}}]}`
)

func inArgo(at string) []string {
	return []string{
		at + ".volumes[0].image.reference=img/v custom ", at + ".templateDefaults.container.image=img/d container ",
		at + ".templates[0].container.image=img/a container ", at + ".templates[1].script.image=img/script container ",
		at + ".templates[2].containerSet.containers[0].image=img/k container k", at + ".templates[0].initContainers[0].image=img/i container i",
		at + ".templates[0].sidecars[0].image=img/s container s", at + ".templates[3].dag.tasks[0].inline.container.image=img/dag container ",
		at + ".templates[4].steps[0][1].inline.script.image=img/step container ",
	}
}

func inTekton(at string) []string {
	return []string{
		at + ".steps[0].image=img/step container b", at + ".sidecars[0].image=img/side container ",
		at + ".stepTemplate.image=img/base container ", at + ".volumes[0].image.reference=img/v custom ",
	}
}

func inPipeline(at string) []string {
	return append(inTekton(at+".tasks[1].taskSpec"), inTekton(at+".finally[0].taskSpec")...)
}

func inMachine(at string) []string {
	return []string{at + ".volumes[0].containerDisk.image=img/disk custom ", at + ".domain.firmware.kernelBoot.container.image=img/kernel custom "}
}

func inRay(at string) []string {
	return []string{at + ".headGroupSpec.template.spec.containers[0].image=img/h container ", at + ".workerGroupSpecs[0].template.spec.containers[0].image=img/w container "}
}

// inTemplate is a Pod template with every image, below keys.
func inTemplate(keys ...string) string {
	open, shut := "", ""
	for _, key := range keys {
		open, shut = open+fmt.Sprintf("%q:{", key), shut+"}"
	}
	return open + `"replicas":1,"template":{"metadata":{"labels":{"image":"not/this"}},"spec":` + every + `}` + shut
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return o
}

func finder(t *testing.T, custom ...workload.Custom) *workload.Finder {
	t.Helper()
	f, err := workload.NewFinder(custom...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func lines(places []workload.Place) []string {
	var all []string
	for _, p := range places {
		all = append(all, fmt.Sprintf("%s=%s %s %s", p.Path, p.Image, p.Kind, p.Name))
	}
	return all
}

// TestAD04KindsOfObjects: AD-01, AD-02, AD-03 (each place of a Pod), AD-04 (each
// kind that holds one).
func TestAD04KindsOfObjects(t *testing.T) {
	t.Parallel()
	f := finder(t)
	for _, test := range kindTests {
		t.Run(test.apiVersion+" "+test.kind, func(t *testing.T) {
			t.Parallel()
			text := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"x"},%s}`, test.apiVersion, test.kind, test.rest)
			places, err := f.Places(object(t, text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, lines(places)); diff != "" {
				t.Error(diff)
			}
			for _, p := range places {
				if got := at(t, object(t, text), p.Pointer); got != p.Image {
					t.Errorf("at %s stands %v, not %q", p.Pointer, got, p.Image)
				}
			}
			if !f.Knows(workload.Group(test.apiVersion), test.kind) {
				t.Error("it is not known")
			}
			// The same in a list, with and without the item's own type.
			list, err := f.Places(object(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"List","items":[%s]}`, text)))
			if err != nil || len(list) != len(places) || list[0].Path != "items[0]."+places[0].Path || list[0].Pointer != "/items/0"+places[0].Pointer {
				t.Errorf("in a List: %v %v", list, err)
			}
			list, err = f.Places(object(t, fmt.Sprintf(`{"apiVersion":%q,"kind":"%sList","items":[%s,{%s}]}`, test.apiVersion, test.kind, text, test.rest)))
			if err != nil || len(list) != 2*len(places) {
				t.Errorf("in a list of its kind: %v %v", list, err)
			}
		})
	}
}

// TestEachBuiltInKindIsTested: a kind that is added is tested.
func TestEachBuiltInKindIsTested(t *testing.T) {
	t.Parallel()
	tested := make(map[string]bool)
	for _, test := range kindTests {
		tested[workload.Group(test.apiVersion)+" "+test.kind] = true
	}
	for _, kind := range workload.BuiltIn() {
		if !tested[kind.Group+" "+kind.Kind] {
			t.Errorf("no test for %s of %q", kind.Kind, kind.Group)
		}
	}
}

// at follows a JSON pointer.
func at(t *testing.T, value any, pointer string) any {
	t.Helper()
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			var index int
			if _, err := fmt.Sscan(part, &index); err != nil || index >= len(v) {
				t.Fatalf("no item %q in %s", part, pointer)
			}
			value = v[index]
		}
	}
	return value
}

func TestCustomPaths(t *testing.T) {
	t.Parallel()
	spec := `{"image":"i","list":["a","b"],"many":[{"image":"x"},{"image":"y"}],"pod":{"containers":[{"image":"p"}],"volumes":[{"image":{"reference":"v"}}]},
		"template":{"spec":{"initContainers":[{"image":"t"}]}},"deep":{"a/b":{"image":"1"},"c~d":{"image":"2"}},"one":{"name":"n","image":"c"},"none":null}`
	for path, want := range map[string]string{
		"spec.image": "/spec/image=i", "spec.list": "/spec/list/0=a /spec/list/1=b", "spec.list[*]": "/spec/list/0=a /spec/list/1=b",
		"spec.many[*].image": "/spec/many/0/image=x /spec/many/1/image=y", "spec.many containers": "/spec/many/0/image=x /spec/many/1/image=y",
		"spec.pod": "/spec/pod/containers/0/image=p /spec/pod/volumes/0/image/reference=v", "spec.pod podSpec": "/spec/pod/containers/0/image=p /spec/pod/volumes/0/image/reference=v",
		"spec.template": "/spec/template/spec/initContainers/0/image=t", "spec.template podTemplate": "/spec/template/spec/initContainers/0/image=t",
		"spec.deep.*.image": "/spec/deep/a~1b/image=1 /spec/deep/c~0d/image=2", "spec.one": "/spec/one/image=c", "$.spec.one container": "/spec/one/image=c",
		"spec.none": "", "spec.absent.at[*].all": "",
	} {
		places, err := finder(t, workload.Custom{Group: "example.com", Kind: "Farm", Paths: []string{path}}).
			Places(object(t, `{"apiVersion":"example.com/v1","kind":"Farm","spec":`+spec+`}`))
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		var got []string
		for _, p := range places {
			got = append(got, p.Pointer+"="+p.Image)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s found %v, want %s", path, got, want)
		}
	}
	for _, path := range []string{"", ".", "spec..image", "spec[0].image", "spec.[*]", "spec.a*", "*", "*.image", "metadata.annotations.x", "status.image", "spec.image picture", "spec['a']", "spec.image ", strings.Repeat("a.", 40) + "a", strings.Repeat("a", 300)} {
		if _, err := workload.NewFinder(workload.Custom{Group: "example.com", Kind: "Farm", Paths: []string{path}}); (err == nil) != (path == "spec.image ") {
			t.Errorf("path %q: %v", path, err)
		}
	}
	for _, c := range []workload.Custom{{Group: "x", Paths: []string{"spec.image"}}, {Group: "x", Kind: "Y"}, {Kind: "Y", Paths: make([]string, 101)}} {
		if _, err := workload.NewFinder(c); err == nil {
			t.Errorf("%v was taken", c)
		}
	}
	// A path for a kind that is built in adds to it.
	both, err := finder(t, workload.Custom{Kind: "Pod", Paths: []string{"spec.extra"}}).
		Places(object(t, `{"apiVersion":"v1","kind":"Pod","spec":{"extra":"e","containers":[{"image":"c"}]}}`))
	if err != nil || len(both) != 2 {
		t.Errorf("%v %v", both, err)
	}
}

// TestAD04WhatCannotBeRead: AD-04, AD-12: a known kind that is built otherwise is an
// error and never an object without images.
func TestAD04WhatCannotBeRead(t *testing.T) {
	t.Parallel()
	f := finder(t, workload.Custom{Group: "example.com", Kind: "Farm", Paths: []string{"spec.image", "spec.many[*].image"}})
	pod := func(spec string) string { return `{"apiVersion":"v1","kind":"Pod","spec":` + spec + `}` }
	for text, want := range map[string]error{
		`{}`: workload.ErrUnknownKind, `{"apiVersion":"v1","kind":"Service"}`: workload.ErrUnknownKind,
		`{"apiVersion":"apps/v1","kind":"Pod"}`:                                                            workload.ErrUnknownKind,
		`{"apiVersion":"v1","kind":"pod"}`:                                                                 workload.ErrUnknownKind,
		`{"apiVersion":"v1","kind":"ServiceList"}`:                                                         workload.ErrUnknownKind,
		`{"apiVersion":"apps/v1","kind":"Deployment","items":[{"apiVersion":"v1","kind":"Pod"}]}`:          workload.ErrMalformed,
		`{"apiVersion":"v1","kind":"Config","items":[{"apiVersion":"v1","kind":"Pod","spec":1}]}`:          workload.ErrMalformed,
		`{"apiVersion":"v1","kind":"Config","items":[{"apiVersion":"v1","kind":1}]}`:                       workload.ErrMalformed,
		strings.Repeat(`{"apiVersion":"v1","kind":"Config","items":[`, 9) + `{}` + strings.Repeat(`]}`, 9): workload.ErrMany,
		`{"apiVersion":1,"kind":"Pod"}`:                                                                    workload.ErrMalformed,
		`{"apiVersion":"v1","kind":["Pod"]}`:                                                               workload.ErrMalformed,
		pod(`[]`):                                                                                          workload.ErrMalformed,
		pod(`"x"`):                                                                                         workload.ErrMalformed,
		pod(`{"containers":{}}`):                                                                           workload.ErrMalformed,
		pod(`{"containers":[null]}`):                                                                       workload.ErrMalformed,
		pod(`{"containers":["img"]}`):                                                                      workload.ErrMalformed,
		pod(`{"containers":[{"image":1}]}`):                                                                workload.ErrMalformed,
		pod(`{"containers":[{"image":["a"]}]}`):                                                            workload.ErrMalformed,
		pod(`{"containers":[{"name":1,"image":"a"}]}`):                                                     workload.ErrMalformed,
		pod(`{"ephemeralContainers":"x"}`):                                                                 workload.ErrMalformed,
		pod(`{"initContainers":[[]]}`):                                                                     workload.ErrMalformed,
		pod(`{"volumes":{}}`):                                                                              workload.ErrMalformed,
		pod(`{"volumes":[1]}`):                                                                             workload.ErrMalformed,
		pod(`{"volumes":[{"image":"x"}]}`):                                                                 workload.ErrMalformed,
		pod(`{"volumes":[{"image":{"reference":{}}}]}`):                                                    workload.ErrMalformed,
		pod(`{"imagePullSecrets":"x"}`):                                                                    workload.ErrMalformed,
		pod(`{"imagePullSecrets":["x"]}`):                                                                  workload.ErrMalformed,
		pod(`{"serviceAccountName":{}}`):                                                                   workload.ErrMalformed,
		`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":"x"}}`:                             workload.ErrMalformed,
		`{"apiVersion":"example.com/v1","kind":"Farm","spec":{"image":{}}}`:                                workload.ErrMalformed,
		`{"apiVersion":"example.com/v1","kind":"Farm","spec":{"image":7}}`:                                 workload.ErrMalformed,
		`{"apiVersion":"example.com/v1","kind":"Farm","spec":{"image":[["a"]]}}`:                           workload.ErrMalformed,
		`{"apiVersion":"example.com/v1","kind":"Farm","spec":{"many":{"image":"a"}}}`:                      workload.ErrMalformed,
		`{"apiVersion":"example.com/v1","kind":"Farm","spec":{"many":["a"]}}`:                              workload.ErrMalformed,
		`{"apiVersion":"v1","kind":"List","items":{}}`:                                                     workload.ErrMalformed,
		`{"apiVersion":"v1","kind":"List","items":["x"]}`:                                                  workload.ErrMalformed,
		`{"apiVersion":"v1","kind":"List","items":[{"kind":1}]}`:                                           workload.ErrMalformed,
		`{"apiVersion":"v1","kind":"PodList","items":[{"apiVersion":"v1","kind":"Service"}]}`:              workload.ErrMalformed,
		pod(`{"containers":[` + strings.Repeat(`{"image":"a"},`, 10_000) + `{"image":"b"}]}`):              workload.ErrMany,
		strings.Repeat(`{"apiVersion":"v1","kind":"List","items":[`, 9) + strings.Repeat(`]}`, 9):          workload.ErrMany,
		pod(`{"imagePullSecrets":[` + strings.Repeat(`{"name":"a"},`, 10_000) + `{"name":"b"}]}`):          workload.ErrMalformed,
		pod(`{"containers":[{"image":"a"}],"ephemeralContainers":[{"image":"` + `ok"},{"image":{}}]}`):     workload.ErrMalformed,
	} {
		places, err := f.Places(object(t, text))
		if !errors.Is(err, want) || len(places) != 0 {
			t.Errorf("%.90s: %d places, %v, want %v", text, len(places), err, want)
		}
		if len(fmt.Sprint(err)) > 400 {
			t.Errorf("the error has %d bytes", len(fmt.Sprint(err)))
		}
	}
	for _, empty := range []string{pod(`{}`), pod(`null`), pod(`{"containers":null,"volumes":[{"image":null},{"image":{}}]}`), `{"apiVersion":"v1","kind":"Pod"}`, `{"apiVersion":"v1","kind":"List"}`} {
		if places, err := f.Places(object(t, empty)); err != nil || len(places) != 0 {
			t.Errorf("%s: %v %v", empty, places, err)
		}
	}
	// Exactly as many as may be.
	if places, err := f.Places(object(t, pod(`{"containers":[`+strings.Repeat(`{"image":"a"},`, 9_999)+`{"image":"b"}]}`))); err != nil || len(places) != 10_000 {
		t.Errorf("%d places, %v", len(places), err)
	}
}

func TestListsWithUnknownKinds(t *testing.T) {
	t.Parallel()
	places, err := finder(t).Places(object(t, `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Service"},{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"a"}]}}]}`))
	if !errors.Is(err, workload.ErrUnknownKind) || len(places) != 1 || places[0].Pointer != "/items/1/spec/containers/0/image" {
		t.Errorf("%v %v", places, err)
	}
}

// TestAD04ListsOfAnyKind: AD-04: kubectl applies the items of whatever has items: a List
// of any group, and objects that only say that they are something else.
func TestAD04ListsOfAnyKind(t *testing.T) {
	t.Parallel()
	const item = `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"a"}]}}`
	for text, known := range map[string]bool{
		`{"apiVersion":"apps/v1","kind":"List","items":[` + item + `]}`:                                          true,
		`{"apiVersion":"v1","kind":"ConfigMap","items":["x",` + item + `]}`:                                      false,
		`{"apiVersion":"v1","kind":"ServiceList","items":[{},` + item + `]}`:                                     false,
		`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Secret","items":[` + item + `]}]}`: false,
	} {
		places, err := finder(t).Places(object(t, text))
		if len(places) != 1 || places[0].Image != "a" || (err == nil) != known || err != nil && !errors.Is(err, workload.ErrUnknownKind) {
			t.Errorf("%s: %v %v", text, places, err)
		}
	}
	if places, err := finder(t).Places(object(t, `{"apiVersion":"apps/v1","kind":"List"}`)); err != nil || len(places) > 0 {
		t.Errorf("an empty one: %v %v", places, err)
	}
}

func TestCredentialsAreFound(t *testing.T) {
	t.Parallel()
	found, err := finder(t).Find(object(t, `{"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{"serviceAccountName":"robot","imagePullSecrets":[{"name":"a"},{"name":"b"},{"name":"a"},{}]}}}}`))
	if err != nil || cmp.Diff([]string{"a", "b"}, found.PullSecrets) != "" || cmp.Diff([]string{"robot"}, found.ServiceAccounts) != "" {
		t.Errorf("%v %v", found, err)
	}
}

func FuzzPlaces(f *testing.F) {
	for _, test := range kindTests {
		f.Add(fmt.Sprintf(`{"apiVersion":%q,"kind":%q,%s}`, test.apiVersion, test.kind, test.rest))
	}
	finder, err := workload.NewFinder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var o map[string]any
		if json.Unmarshal([]byte(text), &o) != nil {
			return
		}
		places, err := finder.Places(o)
		if err != nil {
			return
		}
		for _, p := range places {
			if got := at(t, o, p.Pointer); got != p.Image {
				t.Errorf("at %s stands %v, not %q", p.Pointer, got, p.Image)
			}
		}
	})
}

func ExampleFinder_Places() {
	finder, err := workload.NewFinder(workload.Custom{Group: "example.com", Kind: "Farm", Paths: []string{"spec.workers[*].image"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	places, err := finder.Places(map[string]any{
		"apiVersion": "example.com/v1", "kind": "Farm",
		"spec": map[string]any{"workers": []any{map[string]any{"image": "registry.example/cow:1"}}},
	})
	fmt.Println(places[0].Path, places[0].Image, err)
	// Output: spec.workers[0].image registry.example/cow:1 <nil>
}

// TestEachBuiltInKindIsDocumented: docs/admission-places.md names each kind in the row of
// its group.
func TestEachBuiltInKindIsDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/admission-places.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for line := range strings.SplitSeq(string(raw), "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			for kind := range strings.SplitSeq(cells[1], ",") {
				documented[strings.TrimSpace(cells[2])+" "+strings.TrimSpace(kind)] = true
			}
		}
	}
	for _, kind := range workload.BuiltIn() {
		if !documented[kind.Group+" "+kind.Kind] {
			t.Errorf("docs/admission-places.md does not name %s of %q", kind.Kind, kind.Group)
		}
	}
}
