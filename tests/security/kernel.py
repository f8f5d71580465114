"""Attempts on what the kernel offers besides files, processes and sockets, and to load code; some in native code."""

from attempt import attempt, native


@attempt
def make_a_pipe(given):
    import os

    return REACHED if os.pipe() else None


@attempt
def copy_a_descriptor(given):
    import os

    return REACHED if os.dup(0) else None


@attempt
def put_another_in_the_pipes_place(given):
    import os

    return REACHED if os.dup2(0, 3) else None


@attempt
def make_a_file_in_memory(given):
    import os

    return REACHED if os.write(os.memfd_create("x"), b"x") else None


@attempt
def shrink_the_page(given):
    import os

    os.ftruncate(4, 0)
    return REACHED


@attempt
def grow_the_page(given):
    import os

    os.posix_fallocate(4, 0, 1 << 20)
    return REACHED


@attempt
def seal_the_page(given):
    import fcntl

    fcntl.fcntl(4, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return REACHED


@attempt
def map_the_page_again(given):
    import mmap

    return REACHED if mmap.mmap(4, 4096)[0] is not None else None


@attempt
def reopen_an_open_file(given):
    return REACHED if open("/proc/self/fd/4", "rb") else None


@attempt
def wait_for_events(given):
    import select

    return REACHED if select.epoll() else None


@attempt
def open_a_terminal(given):
    import os

    return REACHED if os.openpty() else None


@attempt
def map_memory_that_can_be_executed(given):
    import mmap

    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    return REACHED if memory.write(b"\xc3") else None


@attempt
def take_more_memory_than_was_given(given):
    import mmap

    return REACHED if mmap.mmap(-1, 2 << 30) else None


@attempt
def set_an_alarm(given):
    import signal

    signal.alarm(100)
    return REACHED if signal.alarm(0) in (99, 100) else None


@attempt
def set_a_timer(given):
    import signal

    signal.setitimer(signal.ITIMER_REAL, 100)
    return REACHED if signal.setitimer(signal.ITIMER_REAL, 0)[0] else None


@attempt
def change_the_mask_of_new_files(given):
    import os

    return REACHED if os.umask(0o22) is not None else None


@attempt
def read_the_systems_load(given):
    import os

    return REACHED if os.getloadavg() else None


@attempt
def read_a_setting_of_the_kernel(given):
    return REACHED if open("/proc/sys/kernel/osrelease").read() else None


@attempt
def import_a_module_from_a_file(given):
    from importlib.machinery import SourceFileLoader

    return SourceFileLoader("found", given["module"]).load_module().SECRET


@attempt
def import_from_a_folder(given):
    import sys
    from importlib.machinery import PathFinder

    sys.path.append(given["folder"])
    sys.meta_path.append(PathFinder)
    import module

    return module.tell()


@attempt
def run_a_file(given):
    import runpy

    return runpy.run_path(given["module"])["SECRET"]


@attempt
def load_native_code(given):
    from importlib.machinery import ExtensionFileLoader, ModuleSpec

    # Under a path of its own, so that it is none that is loaded already.
    loader = ExtensionFileLoader("_callboard", given["extension"])
    module = loader.create_module(ModuleSpec("_callboard", loader, origin=given["extension"]))
    loader.exec_module(module)
    return REACHED


@attempt
def load_the_foreign_functions(given):
    import ctypes

    return REACHED if ctypes.CDLL(None).getpid() else None


@native
def native_code_runs_a_command(given):
    command = f"/bin/cp {given['secret']} {given['made']}\0"
    call(Memory(), "system", address_of(command.encode()))


@native
def native_code_removes_a_file(given):
    call(Memory(), "unlink", address_of(given["doomed"].encode() + b"\0"))


@native
def native_code_makes_a_file(given):
    call(Memory(), "creat", address_of(given["made"].encode() + b"\0"))


@native
def native_code_makes_a_folder(given):
    call(Memory(), "mkdir", address_of(given["made"].encode() + b"\0"))


@native
def native_code_changes_the_folder(given):
    return REACHED if call(Memory(), "chdir", address_of(given["folder"].encode() + b"\0")) == 0 else None


@native
def native_code_asks_whether_a_neighbour_runs(given):
    return REACHED if call(Memory(), "kill", given["neighbour"]) == 0 else None


@native
def native_code_lets_itself_be_traced(given):
    return REACHED if call(Memory(), "ptrace", 0) == 0 else None


@native
def native_code_leaves_the_file_system(given):
    # Files of its own: what `chdir` does then, no other thread sees.
    return REACHED if call(Memory(), "unshare", 0x200) == 0 else None


@native
def native_code_becomes_root_of_a_namespace(given):
    return REACHED if call(Memory(), "unshare", 0x1000_0000) == 0 else None


@native
def native_code_keeps_memory_from_being_swapped(given):
    return REACHED if call(Memory(), "mlockall", 2) == 0 else None


@native
def native_code_becomes_another_user(given):
    return REACHED if call(Memory(), "setuid", 12345) == 0 else None


@native
def native_code_changes_the_root(given):
    return REACHED if call(Memory(), "chroot", address_of(given["folder"].encode() + b"\0")) == 0 else None


@native
def native_code_writes_all_files_out(given):
    return REACHED if call(Memory(), "syncfs", 4) == 0 else None
