"""An allow-list that is kept: jupyter_client's only hides the other kernelspecs, and starts them for whoever asks."""

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel


class Allowed(KernelSpecManager):
    """Refuses to start what its allow-list (`whitelist`, as jupyter_client 6 has it) does not name."""

    def get_kernel_spec(self, kernel_name):
        allowed = getattr(self, "allowed_kernelspecs", None) or getattr(self, "whitelist", None)
        if allowed and kernel_name.lower() not in allowed:
            raise NoSuchKernel(kernel_name)
        return super().get_kernel_spec(kernel_name)
