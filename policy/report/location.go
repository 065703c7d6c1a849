package report

import (
	"net/url"
	"strconv"
	"strings"
)

// maxLocations bounds the places of one image that a report for people or for code
// scanning lists; the JSON has all.
const maxLocations = 20

// Location is a place in a file that asks for an image.
type Location struct {
	File string `json:"file"`
	// Line and Column count from 1; columns are characters.
	Line   int `json:"line"`
	Column int `json:"column,omitempty"`
	// Path is the place inside the file, such as "Deployment/web
	// spec.template.spec.containers[0].image".
	Path string `json:"path,omitempty"`
}

// String returns "file:line path".
func (l Location) String() string {
	return strings.TrimSpace(l.File + ":" + strconv.Itoa(l.Line) + " " + l.Path)
}

// places are the lines that name an image's locations, the first ones and how many
// more there are.
func (i *Image) places() []string {
	var all []string
	for n, l := range i.Locations {
		if n == maxLocations {
			return append(all, "and in "+strconv.Itoa(len(i.Locations)-n)+" more places")
		}
		all = append(all, l.String())
	}
	return all
}

// fileURI writes a file's name as a URI: relative where the name is.
func fileURI(name string) string {
	name = strings.TrimPrefix(strings.ReplaceAll(plainUpTo(name, maxPlain), `\`, "/"), "./")
	if name == "" || name == "-" {
		return "stdin"
	}
	absolute := strings.HasPrefix(name, "/")
	segments := strings.Split(strings.Trim(name, "/"), "/")
	for i, segment := range segments {
		segments[i] = strings.ReplaceAll(url.PathEscape(segment), ":", "%3A")
	}
	if absolute {
		return "file:///" + strings.Join(segments, "/")
	}
	return strings.Join(segments, "/")
}
