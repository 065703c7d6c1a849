package manifest

import (
	"bytes"
	"path"
	"regexp"
	"strings"
)

var (
	dockerfileName = regexp.MustCompile(`(?i)^((docker|container)file([.-].*)?|.*\.(docker|container)file)$`)
	dockerfileLine = regexp.MustCompile(`(?i)^[ \t]*(FROM|ARG)[ \t]+[^:\s]`)
)

// isDockerfile tells a Dockerfile by its name, or by its first line that is no
// comment: FROM or ARG, which no YAML document starts with. A file whose name ends
// like YAML or JSON is none.
func isDockerfile(name string, data []byte) bool {
	base := path.Base(strings.ReplaceAll(name, `\`, "/"))
	switch strings.ToLower(path.Ext(base)) {
	case ".yaml", ".yml", ".json":
		return false
	}
	if dockerfileName.MatchString(base) {
		return true
	}
	for line := range bytes.Lines(bytes.TrimPrefix(data, byteOrderMark)) {
		if text := bytes.TrimSpace(line); len(text) == 0 || text[0] == '#' {
			continue
		}
		return dockerfileLine.Match(line)
	}
	return false
}
