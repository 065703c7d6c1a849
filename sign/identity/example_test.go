package identity_test

import (
	"context"
	"fmt"

	"github.com/hallmark-project/hallmark/sign/identity"
)

func ExampleFind() {
	// A GitLab job that forgot to ask for a token.
	environment := func(name string) string { return map[string]string{"GITLAB_CI": "true"}[name] }
	_, err := identity.Find(context.Background(), identity.Options{Getenv: environment, TokenFile: "/nonexistent"})
	fmt.Println(identity.Hint(err))
	// Output: let the job in .gitlab-ci.yml ask for a token: id_tokens: {SIGSTORE_ID_TOKEN: {aud: "sigstore"}}
}
