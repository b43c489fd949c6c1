// Package config has everything that an operator can configure: the settings of the process, and the policies.
//
//   - Settings are read once, at the start, from the map of the function's runtime: the environment, and the file cfg,
//     which the environment overrides. Parse applies defaults, then the map, then checks every bound.
//   - Policies come from a YAML file, or are the built-in ones. ParsePolicies reads a file strictly; Source reads it
//     again while the process runs, and keeps the last valid policies if it becomes invalid.
//
// One table has all settings (settings_table.go), another one all fields of a policy (policy_fields.go): default, unit,
// bound and help. Parsing, errors and docs/configuration.md use these tables.
//
// Every error is one sentence that names the key, the value and what is allowed. It never contains a password.
package config
