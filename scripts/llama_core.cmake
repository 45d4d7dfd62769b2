# Read inside llama.cpp's own project() call (CMAKE_PROJECT_llama.cpp_INCLUDE). The Python bindings
# use libllama and ggml only; `common` (argument parsing, HTTP, chat parsers) is 57 of 140 units.
set(LLAMA_BUILD_COMMON OFF)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
