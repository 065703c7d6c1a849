package admission

import (
	"encoding/json"
	"net/http"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
)

const apiVersion = "admission.k8s.io/v1"

// Answer is what to send back, and what to write down.
type Answer struct {
	// Status is the HTTP status. It is 200 for every review whose uid could be read,
	// refused or not; else the body is a Kubernetes Status.
	Status int
	// Body is JSON.
	Body []byte
	// Entry is for the decision log. Its texts are untrusted unless said otherwise.
	Entry Entry
}

// Entry is what was asked and answered.
type Entry struct {
	UID         string `json:"uid,omitempty"`
	Operation   string `json:"operation,omitempty"`
	Group       string `json:"group,omitempty"`
	Kind        string `json:"kind,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name,omitempty"`
	User        string `json:"user,omitempty"`
	SubResource string `json:"subResource,omitempty"`
	DryRun      bool   `json:"dryRun,omitempty"`
	Allowed     bool   `json:"allowed"`
	// Verdict is that of the worst image, or of the review itself. A review without
	// anything to look at is Allow.
	Verdict policy.Verdict `json:"verdict"`
	// Reason is that of the first image of the verdict, or why the review could not be
	// read; "" of Allow.
	Reason verify.Reason `json:"reason,omitempty"`
	// Exemption is the name of an exemption that was used.
	Exemption string       `json:"exemption,omitempty"`
	Images    []ImageEntry `json:"images,omitempty"`
	// Message is what the user was told, harmless to print.
	Message string `json:"message,omitempty"`
	// Patches is how many images were pinned.
	Patches int `json:"patches,omitempty"`
}

// ImageEntry is one place of the object.
type ImageEntry struct {
	Place string `json:"place"` // such as "spec.containers[0].image"
	Kind  string `json:"kind"`  // a Kind constant of package workload
	Image string `json:"image"` // untrusted
	// Unchanged tells that an update left it as it was, and that it was not judged.
	Unchanged bool `json:"unchanged,omitempty"`
	// Exemption is the exemption that it was not judged for.
	Exemption string         `json:"exemption,omitempty"`
	Verdict   policy.Verdict `json:"verdict"`
	Reason    verify.Reason  `json:"reason,omitempty"`
	// Result is the judge's answer; nil where it was not asked.
	Result *report.Image `json:"result,omitempty"`
}

// review is the answering AdmissionReview (admission.k8s.io/v1).
type review struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Response   response `json:"response"`
}

type response struct {
	UID              string            `json:"uid"`
	Allowed          bool              `json:"allowed"`
	Status           *status           `json:"status,omitempty"`
	Patch            []byte            `json:"patch,omitempty"`
	PatchType        string            `json:"patchType,omitempty"`
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
	Warnings         []string          `json:"warnings,omitempty"`
}

// status is the part of a Kubernetes Status (meta/v1) that is used.
type status struct {
	APIVersion string   `json:"apiVersion,omitempty"`
	Kind       string   `json:"kind,omitempty"`
	Status     string   `json:"status"`
	Message    string   `json:"message"`
	Reason     string   `json:"reason"`
	Code       int      `json:"code"`
	Details    *details `json:"details,omitempty"`
}

type details struct {
	Causes []cause `json:"causes"`
}

// cause is one refused image, for programs.
type cause struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Field   string `json:"field"`
}

// answer wraps a response.
func answer(r response, e Entry) Answer {
	body, err := json.Marshal(review{APIVersion: apiVersion, Kind: "AdmissionReview", Response: r})
	if err != nil { // the types hold nothing that cannot be marshalled
		return unreadable(http.StatusInternalServerError, err.Error(), e)
	}
	return Answer{Status: http.StatusOK, Body: body, Entry: e}
}

// unreadable answers a review without a uid, which the API server takes as a
// failed call: failurePolicy Fail refuses the object.
func unreadable(code int, message string, e Entry) Answer {
	reason := "BadRequest"
	switch code {
	case http.StatusRequestEntityTooLarge:
		reason = "RequestEntityTooLarge"
	case http.StatusInternalServerError:
		reason = "InternalError"
	}
	message = report.Plain(message)
	e.Allowed, e.Message = false, message
	body, err := json.Marshal(status{APIVersion: "v1", Kind: "Status", Status: "Failure", Message: message, Reason: reason, Code: code})
	if err != nil {
		body = []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure"}`)
	}
	return Answer{Status: code, Body: body, Entry: e}
}
