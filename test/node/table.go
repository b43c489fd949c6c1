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

// The lines between which a document holds the table.
const (
	tableBegins = "<!-- make node: begin -->\n"
	tableEnds   = "<!-- make node: end -->\n"
)

// writeTable puts the table into a document, between its marks.
func writeTable(path string, rows []row) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(document), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q", path, strings.TrimSpace(tableBegins), strings.TrimSpace(tableEnds))
	}
	var table strings.Builder
	table.WriteString("| step | held |\n|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&table, "| %s | %s |\n", r.Name, r.Holds)
	}
	return os.WriteFile(path, []byte(before+tableBegins+table.String()+tableEnds+after), 0o644)
}
