package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
)

// ownFiles makes the files of the project's own recordings: content by name.
func ownFiles() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, scenario := range scenarios {
		for i := range distributions {
			s := newStage(scenario.name, &distributions[i])
			scenario.play(s)
			var lines bytes.Buffer
			encoder := json.NewEncoder(&lines)
			encoder.SetEscapeHTML(false)
			for _, n := range s.play() {
				if err := encoder.Encode(n); err != nil {
					return nil, err
				}
			}
			name := scenario.name + "." + s.name
			files[name+notificationsSuffix] = lines.Bytes()
			for suffix, value := range map[string]any{truthSuffix: s.truth, topologySuffix: s.cluster} {
				content, err := json.MarshalIndent(value, "", " ")
				if err != nil {
					return nil, err
				}
				files[name+suffix] = append(content, '\n')
			}
		}
	}
	return files, nil
}

// writeOwn writes them to a directory.
func writeOwn(dir string) error {
	files, err := ownFiles()
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
