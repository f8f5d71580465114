"""Attempts on processes: to start one, to look into others, to signal or change them, and to become more than one is."""

from attempt import attempt


@attempt
def fork(given):
    import os

    if os.fork() == 0:
        open(given["made"], "w").close()
        os._exit(0)
    os.wait()


@attempt
def run_a_command(given):
    import os

    os.system("/bin/cp " + given["secret"] + " " + given["made"])


@attempt
def run_a_program(given):
    import subprocess

    return subprocess.run(["/bin/cat", given["secret"]], capture_output=True).stdout.decode()


@attempt
def run_and_read(given):
    import os

    return os.popen("/bin/cat " + given["secret"]).read()


@attempt
def become_a_program(given):
    import os

    os.execv("/bin/cp", ["cp", given["secret"], given["made"]])


@attempt
def become_a_file_in_memory(given):
    import os

    program = os.memfd_create("program", 0)
    os.write(program, b"#!/bin/sh\n/bin/cp " + f"{given['secret']} {given['made']}".encode())
    os.execve(program, ["program"], {})


@attempt
def spawn(given):
    import os

    pid = os.posix_spawn("/bin/cp", ["cp", given["secret"], given["made"]], {})
    os.waitpid(pid, 0)


@attempt
def fork_with_a_terminal(given):
    import os
    import pty

    if pty.fork()[0] == 0:
        open(given["made"], "w").close()
        os._exit(0)
    os.wait()


@attempt
def have_a_pickle_run_a_command(given):
    import os
    import pickle

    class Bad:
        def __reduce__(self):
            return os.system, ("/bin/cp " + given["secret"] + " " + given["made"],)

    pickle.loads(pickle.dumps(Bad()))


@attempt
def start_a_thread(given):
    import threading

    thread = threading.Thread(target=print)
    thread.start()
    thread.join()
    return REACHED


@attempt
def start_a_bare_thread(given):
    import _thread

    ran = _thread.allocate_lock()
    ran.acquire()
    _thread.start_new_thread(ran.release, ())
    return REACHED if ran.acquire(timeout=5) else None


@attempt
def use_a_pool_of_threads(given):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(open, given["secret"]).result().read()


@attempt
def end_a_neighbour(given):
    import os
    import signal

    os.kill(given["neighbour"], signal.SIGKILL)


@attempt
def stop_a_neighbour(given):
    import os
    import signal

    os.kill(given["neighbour"], signal.SIGSTOP)


@attempt
def ask_whether_a_neighbour_runs(given):
    import os

    os.kill(given["neighbour"], 0)
    return REACHED


@attempt
def signal_through_a_descriptor(given):
    import os
    import signal

    signal.pidfd_send_signal(os.pidfd_open(given["neighbour"]), signal.SIGTERM)


@attempt
def end_the_parent(given):
    import os
    import signal

    os.kill(os.getppid(), signal.SIGKILL)


@attempt
def stop_the_parent(given):
    import os
    import signal

    os.kill(os.getppid(), signal.SIGSTOP)


@attempt
def end_the_parents_group(given):
    import os
    import signal

    os.killpg(os.getpgid(os.getppid()), signal.SIGTERM)


@attempt
def ask_whether_the_node_runs(given):
    import os

    os.kill(given["node"], 0)
    return REACHED


@attempt
def slow_the_parent_down(given):
    import os

    os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)


@attempt
def slow_a_neighbour_down(given):
    import os

    os.setpriority(os.PRIO_PROCESS, given["neighbour"], 19)


@attempt
def change_a_neighbours_policy(given):
    import os

    os.sched_setscheduler(given["neighbour"], os.SCHED_BATCH, os.sched_param(0))


@attempt
def pin_a_neighbour(given):
    import os

    os.sched_setaffinity(given["neighbour"], {min(os.sched_getaffinity(given["neighbour"]))})


@attempt
def limit_a_neighbour(given):
    import resource

    resource.prlimit(given["neighbour"], resource.RLIMIT_CORE, (0, 4096))


@attempt
def read_a_neighbours_limits(given):
    import resource

    return REACHED if resource.prlimit(given["neighbour"], resource.RLIMIT_NOFILE) else None


@attempt
def read_a_neighbours_environment(given):
    return open(f"/proc/{given['neighbour']}/environ").read()


@attempt
def read_a_neighbours_memory(given):
    process = f"/proc/{given['neighbour']}/"
    places = [line.split()[0].split("-") for line in open(process + "maps") if " rw-p " in line]
    with open(process + "mem", "rb", 0) as memory:
        for start, end in [(int(start, 16), int(end, 16)) for start, end in places]:
            memory.seek(start)
            data = memory.read(end - start)
            if b"kanary-" in data:
                return data[data.index(b"kanary-") :][:39].decode("latin-1")


@attempt
def read_a_neighbours_command_line(given):
    return REACHED if open(f"/proc/{given['neighbour']}/cmdline").read() else None


@attempt
def read_the_parents_environment(given):
    import os

    return open(f"/proc/{os.getppid()}/environ").read()


@attempt
def list_the_processes(given):
    import os

    return REACHED if any(name.isdigit() for name in os.listdir("/proc")) else None


@attempt
def write_the_parents_score(given):
    import os

    with open(f"/proc/{os.getppid()}/oom_score_adj", "w") as file:
        file.write("1000")
    return REACHED


@attempt
def read_own_memory_as_a_file(given):
    return REACHED if open("/proc/self/maps").read() and open("/proc/self/mem", "rb") else None


@attempt
def become_another_user(given):
    import os

    os.setuid(12345)
    return REACHED


@attempt
def give_groups_up(given):
    import os

    os.setgroups([])
    return REACHED


@attempt
def lead_a_session(given):
    import os

    os.setpgid(0, 0) if os.getpgid(0) != os.getpid() else os.setsid()
    return REACHED


@attempt
def get_more_processor(given):
    import os

    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    return REACHED


@attempt
def choose_processors(given):
    import os

    os.sched_setaffinity(0, os.sched_getaffinity(0))
    return REACHED


@attempt
def be_nice(given):
    import os

    os.nice(1)
    return REACHED


@attempt
def raise_the_limit_of_descriptors(given):
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return REACHED if most > 100 else None


@attempt
def raise_the_limit_of_memory(given):
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    return REACHED


@attempt
def ask_for_core_files(given):
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    return REACHED if most else None
