# Prints what Vagrant makes of an installed box: its configuration after the box's own Vagrantfile.
# Arguments: the name of the box, its provider.
require "vagrant"
name, provider = ARGV
env = Vagrant::Environment.new
machine = env.vagrantfile.machine_config(:default, provider.to_sym, env.boxes, nil, false)
config = machine[:config]
raise "no such box" unless machine[:box]
puts "provider=#{machine[:box].provider}"
puts "guest=#{config.vm.guest}"
puts "communicator=#{config.vm.communicator}"
puts "base_mac=#{config.vm.base_mac}"
puts "transport=#{config.winrm.transport}"
puts "basic=#{config.winrm.basic_auth_only}"
puts "verify=#{config.winrm.ssl_peer_verification}"
puts "user=#{config.winrm.username}"
puts "password=#{config.winrm.password}"
config.vm.networks.select { |kind, _| kind == :forwarded_port }.map { |_, options|
  "#{options[:id]}=#{options[:guest]}"
}.sort.each { |line| puts line }
custom = config.vm.get_provider_config(provider.to_sym)
puts "customize=#{custom.customizations.inspect}" if custom.respond_to?(:customizations)
puts "timeout=#{custom.ip_address_timeout}" if custom.respond_to?(:ip_address_timeout)
