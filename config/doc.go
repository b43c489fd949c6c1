// Package config is what an operator can set: the settings of the process and the policies of the fold.
//
//   - Settings come once, at the start, from the map that the function's runtime hands over: the environment, and
//     below it the
//     file named cfg. Parse reads defaults, then the map, then checks every bound.
//   - Policies come from a YAML file, or are the built-in one. ParsePolicies reads a file strictly; Source looks at it
//     again
//     while the process runs, and keeps the last good policies when it breaks.
//
// One table holds all settings (settings_table.go), one all fields of a policy (policy_fields.go): default, unit, bound
// and help. Parsing, error messages and docs/configuration.md all come from these tables.
//
// Every error is one sentence that names the key, the value and what would be right, and never a password.
package config
