"""Attempts on files: read, found, written, made and undone, by all the ways that Python has."""

from attempt import attempt


@attempt
def open_a_file(given):
    return open(given["secret"]).read()


@attempt
def read_by_descriptor(given):
    import os

    return os.read(os.open(given["secret"], os.O_RDONLY), 100).decode()


@attempt
def read_through_a_path_object(given):
    import pathlib

    return pathlib.Path(given["secret"]).read_text()


@attempt
def read_through_the_codecs(given):
    import codecs

    return codecs.open(given["secret"], "r", "utf-8").read()


@attempt
def read_through_the_line_cache(given):
    import linecache

    return linecache.getline(given["secret"], 1)


@attempt
def read_through_a_map(given):
    import mmap

    with open(given["secret"]) as file:
        return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)[:].decode()


@attempt
def read_through_settings(given):
    import configparser

    parser = configparser.ConfigParser()
    parser.read(given["settings"])
    return parser["main"]["secret"]


@attempt
def read_through_a_table_of_types(given):
    import mimetypes

    return mimetypes.read_mime_types(given["mime"])[".secret"]


@attempt
def read_through_an_address(given):
    import urllib.request

    return urllib.request.urlopen("file://" + given["secret"]).read().decode()


@attempt
def read_through_an_entity_of_xml(given):
    import io
    import xml.sax
    import xml.sax.handler

    text = io.StringIO()
    handler = xml.sax.handler.ContentHandler()
    handler.characters = text.write
    parser = xml.sax.make_parser()
    parser.setFeature(xml.sax.handler.feature_external_ges, True)
    parser.setContentHandler(handler)
    page = f'<!DOCTYPE a [<!ENTITY e SYSTEM "file://{given["secret"]}">]><a>&e;</a>'
    parser.parse(io.BytesIO(page.encode()))
    return text.getvalue()


@attempt
def read_through_an_archive(given):
    import io
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(given["secret"], "copy")
    return zipfile.ZipFile(archive).read("copy").decode()


@attempt
def read_through_a_tape(given):
    import io
    import tarfile

    tape = io.BytesIO()
    with tarfile.open(fileobj=tape, mode="w") as file:
        file.add(given["secret"], "copy")
    return tape.getvalue().decode("latin-1")


@attempt
def read_beneath_a_folder_that_is_open(given):
    import os

    folder = os.open("/", os.O_PATH)
    return os.read(os.open(given["secret"][1:], os.O_RDONLY, dir_fd=folder), 100).decode()


@attempt
def read_from_another_folder(given):
    import os

    os.chdir(given["folder"])
    return open("secret").read()


@attempt
def read_through_the_kernels_root(given):
    return open("/proc/self/root" + given["secret"]).read()


@attempt
def read_through_a_link(given):
    import os

    os.symlink(given["secret"], given["made"])
    return open(given["made"]).read()


@attempt
def read_a_links_target(given):
    import os

    return os.readlink(given["link"])


@attempt
def read_shared_memory(given):
    return open(given["shared"]).read()


@attempt
def list_a_folder(given):
    import os

    return " ".join(os.listdir(given["folder"]))


@attempt
def scan_a_folder(given):
    import os

    return " ".join(entry.name for entry in os.scandir(given["folder"]))


@attempt
def list_by_pattern(given):
    import glob

    return " ".join(glob.glob(given["folder"] + "/n*"))


@attempt
def walk_a_tree(given):
    import os

    return str(list(os.walk(given["folder"])))


@attempt
def ask_whether_a_file_exists(given):
    import os

    return REACHED if os.path.exists(given["secret"]) else None


@attempt
def ask_for_a_files_size(given):
    import os

    return REACHED if os.stat(given["secret"]).st_size else None


@attempt
def ask_for_access(given):
    import os

    return REACHED if os.access(given["secret"], os.R_OK) else None


@attempt
def ask_for_the_size_of_the_disk(given):
    import os

    return REACHED if os.statvfs("/").f_blocks and os.statvfs(given["folder"]) else None


@attempt
def list_what_is_mounted(given):
    return REACHED if "/" in open("/proc/self/mounts").read() else None


@attempt
def read_the_list_of_users(given):
    import pwd

    # Not root and nobody, which a library answers without a file.
    return REACHED if len({user.pw_name for user in pwd.getpwall()} - {"root", "nobody"}) else None


@attempt
def read_the_random_device(given):
    return REACHED if open("/dev/urandom", "rb").read(4) else None


@attempt
def write_into_a_file(given):
    with open(given["doomed"], "a") as file:
        file.write("changed")


@attempt
def write_by_descriptor(given):
    import os

    os.write(os.open(given["doomed"], os.O_WRONLY), b"changed")


@attempt
def make_a_file(given):
    open(given["made"], "w").close()


@attempt
def make_a_file_for_a_while(given):
    import tempfile

    tempfile.mkstemp(dir=given["folder"])


@attempt
def make_a_file_without_a_name(given):
    import os

    return REACHED if os.write(os.open(given["folder"], os.O_TMPFILE | os.O_RDWR), b"x") else None


@attempt
def make_a_folder(given):
    import os

    os.mkdir(given["made"])


@attempt
def make_a_pipe_with_a_name(given):
    import os

    os.mkfifo(given["made"])


@attempt
def make_a_node(given):
    import os
    import stat

    os.mknod(given["made"], stat.S_IFREG | 0o644)


@attempt
def make_a_device(given):
    import os
    import stat

    os.mknod(given["made"], stat.S_IFCHR | 0o666, os.makedev(1, 5))


@attempt
def make_a_hard_link(given):
    import os

    os.link(given["secret"], given["made"])


@attempt
def make_a_log_file(given):
    import logging

    logging.FileHandler(given["made"])


@attempt
def make_shared_memory(given):
    with open(given["shared"], "w") as file:
        file.write("changed")


@attempt
def copy_a_file(given):
    import shutil

    shutil.copy(given["secret"], given["made"])


@attempt
def remove_a_file(given):
    import os

    os.unlink(given["doomed"])


@attempt
def remove_a_folder(given):
    import os

    os.rmdir(given["empty"])


@attempt
def move_a_file(given):
    import os

    os.rename(given["doomed"], given["made"])


@attempt
def cut_a_file(given):
    import os

    os.truncate(given["doomed"], 1)


@attempt
def change_a_files_mode(given):
    import os

    os.chmod(given["doomed"], 0o600)


@attempt
def change_a_files_owner(given):
    import os

    os.chown(given["doomed"], 12345, 12345)


@attempt
def change_a_files_times(given):
    import os

    os.utime(given["doomed"], (1, 1))


@attempt
def change_a_files_attributes(given):
    import os

    os.setxattr(given["doomed"], "user.x", b"changed")


@attempt
def lock_a_file(given):
    import fcntl

    fcntl.flock(open(given["doomed"]), fcntl.LOCK_EX)
    return REACHED


@attempt
def have_the_kernel_copy_a_file(given):
    import os

    from_here, there = os.open(given["secret"], os.O_RDONLY), os.open(given["made"], os.O_CREAT | os.O_WRONLY)
    os.copy_file_range(from_here, there, 100)


@attempt
def change_the_root(given):
    import os

    os.chroot(given["folder"])
    return open("/secret").read()
