# Prints keys of a registry hive as hivex finds them; see registry_keys.py for the arguments and the output. hivex does
# not show security descriptors.
use strict;
use warnings;
use Encode;
use Win::Hivex;

sub text {
    my $bytes = unpack('H*', encode('UTF-8', $_[0]));
    return $bytes eq '' ? '-' : $bytes;
}

my $file = shift @ARGV;
my $hive = Win::Hivex->open($file) or die "$file: $!";
for my $path (@ARGV) {
    my $node = $hive->root;
    for my $part (grep { $_ ne '' } split /\\/, $path) {
        $node = $hive->node_get_child($node, $part) if defined $node;
    }
    print 'K ', defined $node ? 'present' : 'absent', "\n";
    next unless defined $node;
    print 'S ', text($hive->node_name($_)), "\n" for $hive->node_children($node);
    for my $value ($hive->node_values($node)) {
        my ($type, $data) = $hive->value_value($value);
        my $bytes = unpack('H*', $data);
        print 'V ', text($hive->value_key($value)), " $type ", $bytes eq '' ? '-' : $bytes, "\n";
    }
}
