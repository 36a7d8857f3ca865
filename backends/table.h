// SPDX-License-Identifier: Apache-2.0
// The backends of this build, in order of preference for one GPU seen through several drivers. A new backend is one line
// here. Read more than once, with HEL_BACKEND(name) defined by the reader.
#ifdef HEL_HAVE_CUDA
HEL_BACKEND(cuda)
#endif
#ifdef HEL_HAVE_VULKAN
HEL_BACKEND(vulkan)
#endif
#ifdef HEL_HAVE_OPENCL
HEL_BACKEND(opencl)
#endif
HEL_BACKEND(cpu)
HEL_BACKEND(null)
