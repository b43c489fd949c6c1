# Prints the lines of Go and Lua that have more than 120 columns. A text that cannot be broken well may go on: a line that
# holds a quote, or that is inside of a raw string.
FNR == 1 { raw = 0 }
{
	quotes = gsub(/`/, "`")
	if (length($0) > 120 && !raw && $0 !~ /["`]/) { print FILENAME ":" FNR ": more than 120 columns"; bad = 1 }
	if (quotes % 2) raw = !raw
}
END { exit bad }
