/* What classic scripts put on `window`, for the type checker of the editor; never loaded by a page. */
declare function gettext(text: string): string;
declare function ngettext(one: string, many: string, count: number): string;
declare function interpolate(text: string, values: object, named?: boolean): string;
declare const htmx: any;
declare const markdownit: any;
declare const DOMPurify: any;
declare const hljs: any;
declare const katex: any;
