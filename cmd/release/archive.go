package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a file of an archive, or a symbolic link where target is set.
type entry struct {
	name    string
	mode    int64
	content []byte
	target  string
}

// writeTarGz writes an archive that depends on the entries and the date alone.
func writeTarGz(path string, date time.Time, entries []entry) error {
	var b bytes.Buffer
	compressed := gzip.NewWriter(&b)
	w := tar.NewWriter(compressed)
	for _, e := range entries {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, Size: int64(len(e.content)), ModTime: date}
		if e.target != "" {
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.target
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(e.content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := compressed.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// writeZip is the same as a zip, which has no links.
func writeZip(path string, date time.Time, entries []entry) error {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: date}
		header.SetMode(os.FileMode(e.mode))
		part, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := part.Write(e.content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// copyImages takes the archives of the images over.
func copyImages(_ context.Context, o *options) error {
	archives, err := filepath.Glob(filepath.Join(o.images, "*.tar"))
	if err != nil {
		return err
	}
	if len(archives) == 0 {
		return fmt.Errorf("there is no image in %s, run make image", o.images)
	}
	for _, archive := range archives {
		content, err := os.ReadFile(archive)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("stormfold_%s_image_%s", o.version, filepath.Base(archive))
		if err := os.WriteFile(filepath.Join(o.out, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

const checksumsFile = "checksums.txt"

// writeChecksums writes what sha256sum --check reads.
func writeChecksums(_ context.Context, o *options) error {
	files, err := os.ReadDir(o.out)
	if err != nil {
		return err
	}
	var lines []string
	for _, f := range files {
		if f.IsDir() || f.Name() == checksumsFile {
			continue
		}
		sum, err := checksum(filepath.Join(o.out, f.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, sum+"  "+f.Name()+"\n")
	}
	slices.Sort(lines)
	return os.WriteFile(filepath.Join(o.out, checksumsFile), []byte(strings.Join(lines, "")), 0o644)
}

// checksum is the SHA-256 of a file in hex.
func checksum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
