"""Work in processes of its own: a task that crashes, hangs or hogs memory costs only itself."""
