package wholefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Read reads all of r, which must have at most limit bytes; name is for that error.
func Read(r io.Reader, name string, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return raw, nil
}

// ReadFile reads a whole file of at most limit bytes.
func ReadFile(name string, limit int64) ([]byte, error) {
	return readFrom(os.Open, name, limit)
}

// ReadRegular is [ReadFile] for a file that is neither a pipe nor a device.
func ReadRegular(name string, limit int64) ([]byte, error) {
	return readFrom(OpenRegular, name, limit)
}

func readFrom(open func(string) (*os.File, error), name string, limit int64) ([]byte, error) {
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	return Read(file, name, limit)
}

// OpenRegular opens a file that is neither a pipe nor a device: opening one of those
// can wait for ever.
func OpenRegular(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", name)
	}
	return os.Open(name)
}

// Pathless is an error of a file without its path, for messages that have it already.
func Pathless(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
