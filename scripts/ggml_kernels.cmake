# Read inside ggml's own project() call (CMAKE_PROJECT_ggml_INCLUDE): the arithmetic stays at -O3.
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
