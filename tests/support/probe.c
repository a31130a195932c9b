/* Does what programs do that load plug-ins by name, and tells how it went: exit status 0 or 1.
   Built against headers of libc alone, so libpam's few names are declared here. */
#include <dlfcn.h>
#include <iconv.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

static int opened(const char *path)
{
    if (dlopen(path, RTLD_NOW))
        return 0;
    fprintf(stderr, "%s\n", dlerror());
    return 1;
}

static int converts(const char *from, const char *to)
{
    char in[] = "a", out[16], *source = in, *target = out;
    size_t left = 1, room = sizeof out;
    iconv_t how = iconv_open(to, from);
    if (how == (iconv_t)-1 || iconv(how, &source, &left, &target, &room) == (size_t)-1) {
        perror("iconv");
        return 1;
    }
    return 0;
}

static int knows(const char *user)
{
    const struct passwd *found = getpwnam(user);
    printf("%s\n", found ? found->pw_dir : "nobody");
    return found == NULL;
}

static int admits(const char *service)
{
    struct { int (*talk)(int, const void **, void **, void *); void *data; } talker = {0, 0};
    int (*start)(const char *, const char *, const void *, void **);
    int (*authenticate)(void *, int);
    void *library = dlopen("libpam.so.0", RTLD_NOW), *session = 0;
    int status;
    if (!library)
        return opened("libpam.so.0");
    *(void **)&start = dlsym(library, "pam_start");
    *(void **)&authenticate = dlsym(library, "pam_authenticate");
    status = start(service, "root", &talker, &session);
    status = status ? status : authenticate(session, 0);
    printf("%d\n", status);
    return status != 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "open"))
        return opened(argv[2]);
    if (argc == 4 && !strcmp(argv[1], "convert"))
        return converts(argv[2], argv[3]);
    if (argc == 3 && !strcmp(argv[1], "user"))
        return knows(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "admit"))
        return admits(argv[2]);
    return 2;
}
