"""What git knows: the files of the tree, and how the lists were when the work at hand began."""
import os
import subprocess


def git(repository, *words):
    """What git says, or None where it or the repository is not there, or it refuses."""
    # a hook of git's has these set, to the repository that is being committed to
    around = {k: v for k, v in os.environ.items() if not k.startswith('GIT_')}
    try:
        return subprocess.run(['git', '-c', 'safe.directory=*', '-C', repository, *words], env=around,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode('utf-8', 'replace').strip('\n')
    except (OSError, TypeError, subprocess.CalledProcessError):
        return None


def branch_point(repository):
    """The commit of main that the work at hand began with: on main itself, the one before the last."""
    if repository is None or git(repository, 'rev-parse', '--show-toplevel') is None:
        return None
    head = git(repository, 'rev-parse', 'HEAD')
    for main in ('main', 'origin/main'):
        base = git(repository, 'merge-base', main, 'HEAD')
        if base and base != head:
            return base
    return git(repository, 'rev-parse', '--verify', 'HEAD~1') or head
