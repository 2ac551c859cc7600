"""A disk image as the output of one action: `wimforge build`, a pure function of its declared inputs.

The action has no network, no environment but what is written here, and no inputs but the declared ones, so its result
may come from any cache and be computed on any machine (remote execution). What is secret must not be among its inputs:
see `secret` below, and docs/scale-out.md.
"""

# `resource_set` wants a function of its own for every amount: memory beyond the buffers is 1 KiB a file of the image.
def _resources_1(_os, _inputs):
    return {"cpu": 1, "memory": 512}

def _resources_2(_os, _inputs):
    return {"cpu": 2, "memory": 512}

def _resources_4(_os, _inputs):
    return {"cpu": 4, "memory": 768}

_RESOURCES = {1: _resources_1, 2: _resources_2, 4: _resources_4}

# Bazel 6 and later can be told of memory; this function came with it.
_SAYS_MEMORY = hasattr(native, "module_name")

def _wimforge_disk_impl(ctx):
    disk = ctx.actions.declare_file(ctx.attr.out or ctx.label.name + ".vmdk")
    outputs = [disk]

    # A recipe says what is to be built; paths in it are relative to the recipe. What Bazel has to know (it declares
    # inputs, and names outputs) is said on the command line, which goes on top.
    args = ctx.actions.args()
    args.add("build")
    args.add("--quiet")
    args.add(ctx.file.source)
    args.add("--recipe", ctx.file.recipe)
    args.add("--output", disk)
    args.add("--threads", ctx.attr.cpus)
    args.add("--memory", "%dMiB" % ctx.attr.memory_mib)

    # One file each: local sandboxes are made of symbolic links, which wimforge follows when they are named, and refuses
    # inside of folders.
    copied = []
    for target, destination in ctx.attr.copy.items():
        files = target.files.to_list()
        if len(files) != 1:
            fail("copy: %s is %d files, expected one" % (target.label, len(files)))
        copied.append(files[0])
        args.add("--copy", "%s=%s" % (files[0].path, destination))

    # Files, so that they are what they are in every sandbox: archives, cabinets, ISO images.
    args.add_all(ctx.files.drivers, before_each = "--driver")
    args.add_all(ctx.files.packages, before_each = "--package")
    args.add_all(ctx.files.registry, before_each = "--reg")
    if ctx.attr.record:
        record = ctx.actions.declare_file(disk.basename + ".record.json", sibling = disk)
        outputs.append(record)
        args.add("--record", record)

    requirements = {
        "block-network": "1",
        # Local scheduling; remote machines go by `exec_properties` of the target.
        "cpu:%d" % ctx.attr.cpus: "",
    }
    if ctx.attr.secret:
        # Neither its inputs nor its output leave this machine.
        requirements.update({"no-cache": "1", "no-remote": "1"})

    inputs = [ctx.file.source, ctx.file.recipe] + copied
    ctx.actions.run(
        mnemonic = "WimforgeDisk",
        progress_message = "Building disk image %s" % disk.short_path,
        executable = ctx.executable.wimforge,
        arguments = [args],
        inputs = depset(inputs + ctx.files.drivers + ctx.files.packages + ctx.files.registry + ctx.files.data),
        outputs = outputs,
        env = {"SOURCE_DATE_EPOCH": str(ctx.attr.source_date_epoch)} if ctx.attr.source_date_epoch >= 0 else {},
        use_default_shell_env = False,
        execution_requirements = requirements,
        **({"resource_set": _RESOURCES[ctx.attr.cpus]} if _SAYS_MEMORY else {})
    )
    return [DefaultInfo(files = depset(outputs))]

wimforge_disk = rule(
    implementation = _wimforge_disk_impl,
    doc = "Builds a disk image, in one file, from a WIM or an ISO and a recipe.",
    attrs = {
        "source": attr.label(
            doc = "The WIM or ISO.",
            mandatory = True,
            allow_single_file = [".wim", ".esd", ".iso"],
        ),
        "recipe": attr.label(
            doc = "What to build. `source` and `output` in it are overridden.",
            mandatory = True,
            allow_single_file = [".toml"],
        ),
        "out": attr.string(
            doc = "The output's name; its extension chooses the container unless the recipe does. [NAME.vmdk]",
        ),
        "copy": attr.label_keyed_string_dict(
            doc = "Files, and where they go in the image.",
            allow_files = True,
        ),
        "drivers": attr.label_list(
            doc = "Drivers: ZIP archives, cabinets, ISO images.",
            allow_files = [".zip", ".cab", ".iso"],
        ),
        "packages": attr.label_list(
            doc = "Packages of Windows.",
            allow_files = [".cab", ".msu"],
        ),
        "registry": attr.label_list(
            doc = "Edits of the registry.",
            allow_files = [".reg"],
        ),
        "data": attr.label_list(
            doc = "Other files that the recipe names, relative to itself.",
            allow_files = True,
        ),
        "record": attr.bool(
            doc = "Also make OUT.record.json, which `wimforge verify --against` takes.",
        ),
        "secret": attr.bool(
            doc = "The image or its inputs hold secrets: build here, and keep it out of shared caches.",
        ),
        "source_date_epoch": attr.int(
            doc = "The time of what is added, in seconds since 1970. [that of the source]",
            default = -1,
        ),
        # The bytes do not depend on these two. The action's key does: change them seldom.
        "cpus": attr.int(default = 2, values = [1, 2, 4]),
        "memory_mib": attr.int(default = 256),
        "wimforge": attr.label(
            doc = "The program, for the platform that builds.",
            default = "//:bin/wimforge",
            allow_single_file = True,
            executable = True,
            cfg = "exec",
        ),
    },
)
