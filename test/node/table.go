//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func writeRows(dir string, rows []row) error {
	content, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "rows.json"), content, 0o644)
}

func readRows(dir string) (rows []row, err error) {
	content, err := os.ReadFile(filepath.Join(dir, "rows.json"))
	if err != nil {
		return nil, err
	}
	return rows, json.Unmarshal(content, &rows)
}

// marks are the lines between which a document holds the table of a round.
func marks(about string) (begins, ends string) {
	return "<!-- make node, " + about + ": begin -->\n", "<!-- make node, " + about + ": end -->\n"
}

// writeTable puts the table into a document, between its marks.
func writeTable(path, about string, rows []row) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begins, ends := marks(about)
	before, rest, begun := strings.Cut(string(document), begins)
	_, after, ended := strings.Cut(rest, ends)
	if !begun || !ended {
		return fmt.Errorf("%s has no lines %q and %q", path, strings.TrimSpace(begins), strings.TrimSpace(ends))
	}
	var table strings.Builder
	head := "| what happens | what holds |"
	if about == "hops" {
		head = "| who answers | time until the answer |"
	}
	table.WriteString(head + "\n|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&table, "| %s | %s |\n", r.Name, r.Holds)
	}
	return os.WriteFile(path, []byte(before+begins+table.String()+ends+after), 0o644)
}
