console.log("wattvox");
