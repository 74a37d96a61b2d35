#!/usr/bin/env bash
# Every page that is linked or named exists: links of Markdown files, the headings they point to, and every docs/... path
# that sources, SQL, tests and pages name.
set -u
cd "$REPO" || exit 1
find README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md docs sql .github -name '*.md' 2>/dev/null | sort >"$WORK/pages"
find Makefile README.md CONTRIBUTING.md SECURITY.md docs sql src tests .github -type f \
    \( -name Makefile -o -name '*.[ch]' -o -name '*.sql' -o -name '*.sh' -o -name '*.md' -o -name '*.spec' -o -name '*.yml' \) 2>/dev/null |
    grep -v '^sql/crm\(_tables\|_code\)\?--' | sort >"$WORK/files"
cat >"$WORK/links.pl" <<'PERL'
use strict; use warnings;
my ($pages, $files) = @ARGV;
my ($links, $named, @faults) = (0, 0);

sub lines { my ($f) = @_; open(my $h, '<:utf8', $f) or die "$f: $!"; my @l = <$h>; chomp @l; return @l }
sub headings {
    my ($page) = @_; my (%found, $fence);
    for (lines($page)) {
        $fence = !$fence if /^```/;
        next if $fence || !/^#+ +(.*)/;
        (my $a = lc $1) =~ s/[^\w\- ]//g; $a =~ s/ /-/g; $found{$a} = 1;
    }
    return \%found;
}
sub normal {
    my @parts;
    for (split m{/}, $_[0]) { if ($_ eq '..') { pop @parts } elsif ($_ ne '.' && $_ ne '') { push @parts, $_ } }
    return join '/', @parts;
}

for my $page (lines($pages)) {
    my ($dir) = $page =~ m{^(.*)/}; my ($n, $fence) = (0);
    for my $line (lines($page)) {
        $n++; $fence = !$fence if $line =~ /^```/;
        next if $fence;
        while ($line =~ /\]\(([^)\s]+)\)/g) {
            my ($target, $anchor) = split /#/, $1, 2;
            next if $1 =~ /^[a-z]+:/;
            $links++;
            my $path = $target eq '' ? $page : normal(($dir // '') . '/' . $target);
            if (!-e $path) { push @faults, "$page:$n: there is no $path" }
            elsif (defined $anchor && $path =~ /\.md$/ && !headings($path)->{$anchor}) { push @faults, "$page:$n: $path has no heading #$anchor" }
        }
    }
}
for my $f (lines($files)) {
    my $n = 0;
    for my $line (lines($f)) {
        $n++;
        while ($line =~ m{(?<![\w/.\-])(docs/[\w\-/]+\.(?:md|svg))\b}g) {
            $named++;
            push @faults, "$f:$n: there is no $1" if !-e $1;
        }
    }
}
push @faults, "only $links links and $named names of pages were found: the search is broken" if $links < 20 || $named < 5;
print "$_\n" for @faults;
exit(@faults ? 1 : 0);
PERL
perl "$WORK/links.pl" "$WORK/pages" "$WORK/files"
