package source

import (
	"strconv"
	"strings"
	"unicode"
)

// maxShown is how much of a wrong value a sentence repeats, in characters: enough to find it, too little to flood a
// log.
const maxShown = 64

// shown is a value as sentences repeat it: quoted, on one line, and cut.
func shown(value string) string {
	if runes := []rune(value); len(runes) > maxShown {
		return strconv.Quote(string(runes[:maxShown])) + "..."
	}
	return strconv.Quote(value)
}

// oneLine joins lines and drops other control characters, so that a sentence with someone else's words in it stays one.
func oneLine(text string) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		switch {
		case c == '\n':
			return ' '
		case unicode.IsControl(c):
			return -1
		}
		return c
	}, text))
}

// headerSafe tells whether a text can be the value of an event's attribute as it stands: in binary mode that is an HTTP
// header, for which CloudEvents wants everything else percent-encoded, and receivers differ in decoding it.
func headerSafe(text string) bool {
	return strings.IndexFunc(text, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '%' }) < 0 &&
		strings.TrimSpace(text) == text
}
