// Takes the answer to the app at once (OAuth 2.0 Form Post Response Mode, appendix A). Without scripts the button does.
document.getElementById("form-post")?.submit();
