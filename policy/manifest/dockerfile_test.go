package manifest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy/manifest"
)

func TestDockerfile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		args map[string]string
		want []string
	}{
		"plain":                       {"FROM a:1", nil, []string{"a:1"}},
		"lower case and spaces":       {"  from \t a:1   as   b  \n", nil, []string{"a:1"}},
		"CRLF":                        {"FROM a:1 \\\r\n AS b\r\nFROM b\r\nFROM c\r\n", nil, []string{"a:1", "c"}},
		"byte order mark":             {"\xef\xbb\xbf# syntax=s:1\nFROM a\n", nil, []string{"s:1", "a"}},
		"a stage":                     {"FROM a AS b\nFROM b\nFROM B\n", nil, []string{"a", "B"}},
		"a stage that comes later":    {"FROM b\nFROM a AS b\n", nil, []string{"b", "a"}},
		"a stage named like an image": {"FROM a AS alpine\nFROM alpine\n", nil, []string{"a"}},
		"scratch":                     {"FROM a\nFROM scratch AS x\nCOPY --from=scratch / /\nFROM x", nil, []string{"a"}},
		"Scratch":                     {"FROM Scratch", nil, []string{"Scratch"}},
		"platform":                    {"FROM --platform=$BUILDPLATFORM a", nil, []string{"a"}},
		"default":                     {"ARG V=1\nFROM a:${V}\nFROM b:$V-x\n", nil, []string{"a:1", "b:1-x"}},
		"default in the text":         {"FROM a:${V:-2}\nFROM a:${V-3}\n", nil, []string{"a:2", "a:3"}},
		"default of a default":        {"ARG V=1\nARG W=${V}.${X:-${V}}\nFROM a:$W\n", nil, []string{"a:1.1"}},
		"alternative":                 {"ARG V=1\nFROM a${V:+-slim}\nFROM b${X:+-slim}\n", nil, []string{"a-slim", "b"}},
		"given":                       {"ARG V=1\nFROM a:$V\n", map[string]string{"V": "7"}, []string{"a:7"}},
		"given without a default":     {"ARG V\nFROM a:$V\n", map[string]string{"V": "7"}, []string{"a:7"}},
		"given as empty":              {"ARG V\nFROM a$V\n", map[string]string{"V": ""}, []string{"a"}},
		"declared again":              {"ARG V=1\nARG V\nFROM a:$V\n", nil, []string{"a:1"}},
		"several":                     {"ARG A=x B=\"y\" C='z'\nFROM $A\nFROM $B\nFROM $C\n", nil, []string{"x", "y", "z"}},
		"quoted dollar":               {"ARG A='$B' B=2\nFROM x${B}\n", nil, []string{"x2"}},
		"platform argument":           {"FROM a:$TARGETARCH\n", map[string]string{"TARGETARCH": "arm64"}, []string{"a:arm64"}},
		"copy":                        {"FROM a\nCOPY --chown=1 --from=b:2 /x /y\ncopy --from=A:2 / /\n", nil, []string{"a", "b:2", "A:2"}},
		"copy from stages":            {"FROM a AS One\nCOPY --from=ONE / /\nCOPY --from=0 / /\n", nil, []string{"a"}},
		"copy after the flags":        {"FROM a\nCOPY x --from=b /y\n", nil, []string{"a"}},
		"mount":                       {"FROM a\nRUN --mount=type=bind,from=b:2,target=/x --network=none --mount=FROM=c make\n", nil, []string{"a", "b:2", "c"}},
		"mount of a number":           {"FROM a\nRUN --mount=from=0 make\n", nil, []string{"a", "0"}},
		"mount of a stage":            {"FROM a AS b\nRUN --mount=from=b,source=from make --mount=from=c\n", nil, []string{"a"}},
		"continued flag":              {"FROM a\nRUN --mount=type=bind,\\\nfrom=b:2 make\n", nil, []string{"a", "b:2"}},
		"continued in the image":      {"FROM al\\\npine\n", nil, []string{"alpine"}},
		"comment in a continuation":   {"FROM \\\n# FROM x\n\n  a\n", nil, []string{"a"}},
		"no continuation":             {"FROM a\nRUN echo \\\\\nFROM b\n", nil, []string{"a", "b"}},
		"continued into FROM":         {"FROM a\nRUN echo \\  \nFROM b\n", nil, []string{"a"}},
		"backtick":                    {"# escape=`\nFROM a\nRUN dir c:\\\nFROM b\nRUN x `\nFROM c\n", nil, []string{"a", "b"}},
		"escape is no directive":      {"# a comment\n# escape=`\nFROM a\nRUN x `\nFROM c\n", nil, []string{"a", "c"}},
		"frontend":                    {"#syntax = docker/dockerfile:1 # pinned\nFROM a\n", nil, []string{"docker/dockerfile:1", "a"}},
		"frontend behind a shebang":   {"#!/usr/bin/env docker\n# syntax=s\nFROM a\n", nil, []string{"s", "a"}},
		"no frontend":                 {"# x=y\n# syntax=s\nFROM a\n", nil, []string{"a"}},
		"frontend of the arguments":   {"# syntax=s\nFROM a\n", map[string]string{"BUILDKIT_SYNTAX": "t"}, []string{"t", "a"}},
		"heredoc":                     {"FROM a\nRUN <<EOF\nFROM b\nEOF\nFROM c\n", nil, []string{"a", "c"}},
		"heredoc with tabs":           {"FROM a\nRUN cat <<-'X' > /y\nFROM b\n\tX\nFROM c\n", nil, []string{"a", "c"}},
		"two heredocs":                {"FROM a\nCOPY <<A <<\"B\" /x/\nFROM b\nB\nA\nFROM c\nB\nFROM d\n", nil, []string{"a", "d"}},
		"heredoc of ONBUILD":          {"FROM a\nONBUILD RUN <<E\nFROM b\nE\nFROM c\n", nil, []string{"a", "c"}},
		"no heredoc":                  {"FROM a\nRUN echo \"<<EOF\"\nRUN x=$((1<<2)) y<<EOF <<<z\nENV A=<<EOF\nRUN [\"<<EOF\"]\nFROM b\n", nil, []string{"a", "b"}},
		"an ARG of a stage":           {"ARG V=1\nFROM a\nARG V=2\nFROM b:$V\n", nil, []string{"a", "b:1"}},
		"ONBUILD":                     {"FROM a\nONBUILD COPY --from=b / /\nONBUILD RUN --mount=from=c x\n", nil, []string{"a", "b", "c"}},
		"other instructions":          {"FROM a\nMAINTAINER x\nHEALTHCHECK CMD y\nSHELL [\"x\"]\nSTOPSIGNAL 9\nEXPOSE 1\nLABEL FROM=b\n", nil, []string{"a"}},
		"digest":                      {"FROM a:1@sha256:" + strings.Repeat("0a", 32), nil, []string{"a:1@sha256:" + strings.Repeat("0a", 32)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := references(t, "Dockerfile", tc.text, manifest.Options{BuildArgs: tc.args})
			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("%q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

// TestRefusedDockerfile: each is refused at the line that it is about.
func TestRefusedDockerfile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, fault string }{
		"variable without a value":  {"ARG V\nFROM a:$V\n", `Dockerfile:2: "a:$V": the variable "V" has no value`},
		"undeclared variable":       {"FROM a:${V}\n", "has no value"},
		"platform variable":         {"FROM a:$TARGETARCH\n", "has no value"},
		"empty default":             {"ARG V=\nFROM $V\n", "the image is empty"},
		"demanded variable":         {"FROM ${V:?}\n", "has no value"},
		"pattern":                   {"ARG V=1.2\nFROM a:${V%.*}\n", "an operation that is not known"},
		"open brace":                {"FROM a:${V\n", "a brace that does not close"},
		"quotes in a value":         {"ARG V=a\"b\"\nFROM $V\n", "its value has quotes or escapes inside"},
		"deep defaults":             {"FROM " + strings.Repeat("${A:-", 50) + strings.Repeat("}", 50), "nested deeper"},
		"self growing":              {"ARG A=" + strings.Repeat("x", 1000) + "\nARG B=$A$A$A$A\nARG C=$B$B$B$B\nFROM $C\n", "grows above"},
		"quoted image":              {"FROM \"a\"\n", "has quotes"},
		"FROM without an image":     {"FROM\n", "FROM with 0 words"},
		"FROM with two words":       {"FROM a b\n", "FROM with 2 words"},
		"FROM with a wrong word":    {"FROM a IS b\n", "FROM with 3 words"},
		"no FROM":                   {"ARG A=1\n", "without FROM"},
		"empty":                     {"# nothing\n", "without FROM"},
		"RUN before FROM":           {"RUN x\nFROM a\n", "Dockerfile:1: RUN stands before the first FROM"},
		"unknown instruction":       {"FROM a\n\nFRM b\n", `Dockerfile:3: "FRM" is no instruction`},
		"a template":                {"FROM {{ .Base }}\n", "FROM with 3 words"},
		"a short template":          {"FROM {{.Base}}\n", "a template that was not rendered"},
		"copy from a variable":      {"FROM a\nCOPY --from=$X / /\n", "no plain stage or image"},
		"copy from twice":           {"FROM a\nCOPY --from=b --from=c / /\n", "no plain stage or image"},
		"copy from quotes":          {"FROM a\nCOPY \"--from=b\" / /\nCOPY --from=\"b\" / /\n", "Dockerfile:3: "},
		"copy from a later number":  {"FROM a\nCOPY --from=1 / /\nFROM b\n", "there is no stage 1"},
		"mount from a variable":     {"FROM a\nRUN --mount=from=$X y\n", "no plain stage or image"},
		"mount with quotes":         {"FROM a\nRUN --mount=type=bind,\"from=b\" y\n", "has quotes or escapes"},
		"mount from twice":          {"FROM a\nRUN --mount=from=b,from=c y\n", "no plain stage or image"},
		"ONBUILD FROM":              {"FROM a\nONBUILD FROM b\n", "ONBUILD cannot put off FROM"},
		"open heredoc":              {"FROM a\nRUN <<EOF\nFROM b\n", `the heredoc "<<EOF" does not end`},
		"unclear heredoc":           {"FROM a\nRUN <<E\"O\"F\nEOF\n", "it is not clear how"},
		"variable heredoc":          {"FROM a\nRUN $X<<EOF\nFROM b\nEOF\n", "it is not clear whether"},
		"heredoc in braces":         {"FROM a\nRUN ${X:-<<EOF}\nFROM b\nEOF\n", "it is not clear whether"},
		"heredoc and an open quote": {"FROM a\nRUN it's <<EOF\nFROM b\nEOF\n", "it is not clear whether"},
		"heredoc behind a bracket":  {"FROM a\nRUN [\"a\"] <<EOF\nFROM b\nEOF\n", "it is not clear whether"},
		"two escape directives":     {"# escape=`\n# escape=\\\nFROM a\n", "stands twice"},
		"two frontends":             {"# syntax=a\n# syntax=b\nFROM a\n", "stands twice"},
		"escape of something":       {"# escape=x\nFROM a\n", "a backslash or a backtick"},
		"C comments":                {"// syntax=a\nFROM a\n", "is no instruction"},
		"JSON":                      {"{\"syntax\": \"a\"}\n", "is no instruction"},
		"long line":                 {"FROM a\nRUN " + strings.Repeat("x", 1<<20) + "\n", "an instruction of more than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := references(t, "Dockerfile", tc.text, manifest.Options{})
			if got != nil || err == nil || !strings.Contains(err.Error(), tc.fault) || !strings.HasPrefix(err.Error(), "Dockerfile:") {
				t.Errorf("%q, %v; want %q", got, err, tc.fault)
			}
		})
	}
}

// TestPlacesOfDockerfiles: the line is where the image is used, and the bytes are
// where its text stands.
func TestPlacesOfDockerfiles(t *testing.T) {
	t.Parallel()
	text := "ARG BASE='a:1'\nFROM \\\n  ${BASE}\nCOPY --from=b:2 / /\nRUN \\\n  --mount=from=c:3 x\n"
	file, err := manifest.Read("Dockerfile", []byte(text), manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range file.Images {
		got = append(got, shown(i)+" "+text[i.Start:i.End])
	}
	want := []string{
		"3:3 base stage 0 FROM = a:1 a:1", "4:13 copy stage 0 COPY --from = b:2 b:2", "6:16 mount stage 0 RUN --mount from = c:3 c:3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
