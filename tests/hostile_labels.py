"""Text that is code somewhere: in markup, in scripts, in style sheets, in terminals."""

HOSTILE = (
    '"><script>document.title="owned"</script>',
    "</title><script>document.title='owned'</script>",
    "</style><script>document.title='owned'</script>",
    "]]><script>document.title='owned'</script>",
    "--></svg><img src=x onerror=document.title='owned'>",
    "'onload='document.title=1' x='",
    "javascript:document.title='owned'",
    "\u2028document.title='owned'\u2029",
    "&lt;script&gt;&#60;script&#62;",
    "${document.title='owned'} `",
    "\x00\x1b[31m\x07\ufffe\udc80",
    "a\u202eb</desc>",
)
