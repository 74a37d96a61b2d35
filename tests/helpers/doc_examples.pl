# The SQL examples of a Markdown page: made into a psql script, and compared with what the script printed.
#
#   perl doc_examples.pl script  page.md            prints the script
#   perl doc_examples.pl compare page.md output     prints what differs; exit 1 if anything does
#   perl doc_examples.pl accept  page.md output     writes what was printed into the page
#
# ```sql           runs; the block that follows, if it is ```text, is what psql prints for it
# ```sql no-run    is for reading
#
# An example whose result holds a line "ERROR:" may fail; any other that fails ends the page. In a result a line "..." stands
# for any number of lines. Times are printed in UTC. Spaces, the length of rules under headings and "(n rows)" do not count: they depend on the client.
use strict;
use warnings;

my ($mode, $page, $output) = @ARGV;
open(my $in, '<:utf8', $page) or die "$page: $!\n";
my @lines = <$in>;
close $in;
chomp @lines;
binmode STDOUT, ':utf8';

# examples: {line, sql => [..], text => [..] or undef, from, to: lines of the result within the page}
my (@examples, @faults, $last);
for (my $i = 0; $i < @lines; $i++) {
    if ($lines[$i] !~ /^```(.*?)\s*$/) {
        $last = undef if $lines[$i] =~ /\S/;
        next;
    }
    my ($kind, $start) = ($1, $i + 1);
    my @body;
    push @body, $lines[$i] while ++$i < @lines && $lines[$i] !~ /^```\s*$/;
    if ($i >= @lines) { push @faults, "$page:$start: this block does not end"; last }
    if ($kind eq 'sql') {
        push @examples, $last = {line => $start, sql => \@body};
    } elsif ($kind eq 'text') {
        if ($last) { @$last{qw(text from to)} = (\@body, $start, $i - 1) }
        else { push @faults, "$page:$start: a result without an example right before it (other text is indented, or ```console)" }
        $last = undef;
    } elsif ($kind eq '') {
        push @faults, "$page:$start: say what this block is: sql, text (the result of the example before), console ...";
    } else {
        $last = undef;
    }
}

if ($mode eq 'script') {
    print "\\set SHOW_CONTEXT never\nSET timezone TO 'UTC'; SET datestyle TO 'ISO, YMD'; SET intervalstyle TO 'postgres';\n";
    my $n = 0;
    for my $e (@examples) {
        my $may_fail = grep { /^ERROR:/ } @{$e->{text} || []};
        printf "\\o\n\\echo @@ %d %d\n\\set ON_ERROR_STOP %d\n", $n++, $e->{line}, $may_fail ? 0 : 1;
        print "$_\n" for @{$e->{sql}};
    }
    print "\\o\n\\echo @@ end\n";
    exit 0;
}

open(my $out, '<:utf8', $output) or die "$output: $!\n";
my (@printed, $current, $ended);
while (<$out>) {
    chomp;
    if (/^@@ end$/) { $ended = 1; last }
    if (/^@@ (\d+) \d+$/) { $current = $1; $printed[$current] = []; next }
    push @{$printed[$current]}, $_ if defined $current;
}
close $out;
if (!$ended) {
    my $e = $examples[$current // 0];
    push @faults, "$page:$e->{line}: this example fails:", map { "    $_" } grep { /\S/ } @{$printed[$current // 0] || []};
}

# what is compared: lines with something in them, without what the client's version or the terminal decides
sub essence {
    my @result;
    for (@_) {
        next if /^\s*$/ || /^\(\d+ rows?\)$/;
        my $l = $_;
        $l =~ s/-{2,}/-/g if $l =~ /^[-+| ]+$/;
        $l =~ s/\s+/ /g; $l =~ s/^ | $//g;
        push @result, $l;
    }
    return \@result;
}
sub matches {   # expected with "..." against printed
    my ($want, $have, $w, $h) = @_;
    for (; $w < @$want; $w++, $h++) {
        if ($want->[$w] eq '...') {
            for my $rest ($h .. scalar @$have) { return 1 if matches($want, $have, $w + 1, $rest) }
            return 0;
        }
        return 0 if $h >= @$have || $want->[$w] ne $have->[$h];
    }
    return $h == @$have;
}

my @edits;
for my $n (0 .. $#examples) {
    my $e = $examples[$n];
    my $have = $printed[$n];
    next if !$e->{text} || !$have || (!$ended && $n >= $current);
    next if matches(essence(@{$e->{text}}), essence(@$have), 0, 0);
    my @shown;
    for (@$have) {      # as printed, with one empty line between results
        (my $l = $_) =~ s/\s+$//;
        push @shown, $l unless $l =~ /^\(\d+ rows?\)$/ || ($l eq '' && (!@shown || $shown[-1] eq ''));
    }
    pop @shown while @shown && $shown[-1] eq '';
    push @edits, [$e->{from}, $e->{to}, @shown];
    push @faults, "$page:" . ($e->{from} + 1) . ": psql prints otherwise:", map { "    $_" } @shown;
}

if ($mode eq 'accept' && $ended) {
    for (reverse @edits) {
        my ($from, $to, @shown) = @$_;
        splice @lines, $from, $to - $from + 1, @shown;
    }
    open(my $w, '>:utf8', $page) or die "$page: $!\n";
    print $w "$_\n" for @lines;
    close $w;
    exit 0;
}
print "$_\n" for @faults;
exit(@faults ? 1 : 0);
